"""`diagnose`: what is wrong with a run that has ended, failed or broken off, and what to do next.

It reads what a run left, never references: the findings of the stage `diagnosis`, or, where a run
did not come so far, the log of the stage that broke and signs of the furthest system.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock, Timeout
from omegaconf import OmegaConf

from unsup_asr.commands import UsageError, folder_named
from unsup_asr.engine.config import instantiate
from unsup_asr.engine.runs import LATEST, RUNS, read_run
from unsup_asr.formats.finished import BEGUN, LOG, RECORD, read_record
from unsup_asr.formats.hypotheses import read_hypotheses
from unsup_asr.formats.phone_text import iter_phone_sentences, phone_ids, read_inventory
from unsup_asr.report.diagnosed import Diagnosed
from unsup_asr.report.signs import DIAGNOSIS_FILE, Finding, read_findings
from unsup_asr.scoring.signs import TEXT, signs_of, signs_of_text

EXIT_CODES = {"good": 0, "suspect": 1, "unfinished": 3, "running": 3, "broken": 4}
_PARTIAL = ".partial"
_OF_STAGES = (BEGUN, RECORD, DIAGNOSIS_FILE, "results.json")  # one of these is in a stage of a run
_MOST_SENTENCES = 5000  # of text and of output, that signs of a broken run are taken of
_JOINED = ("start=joined", "matching=spoken_channel")


def diagnose(arguments: argparse.Namespace) -> int:
    """Print what is wrong and the next command; 0 good, 1 suspect, 3 not ended, 4 broken."""
    folder = folder_named(arguments.experiment, "exp/<recipe>, or one of its runs")
    found = examine(folder)
    if arguments.json:
        print(json.dumps(asdict(found), ensure_ascii=False, indent=1))
    else:
        print("\n".join(found.lines()))
    return EXIT_CODES[found.state]


def examine(folder: Path) -> Diagnosed:
    """All of an experiment or of one of its runs; UsageError where nothing has run."""
    is_run = folder.parent.name == RUNS
    root = folder.parents[1] if is_run else folder
    run = folder if is_run else folder / LATEST
    broken = None if is_run else _begun_since(root, run)
    if broken is not None:
        return _of_broken(root, broken)
    if not any(any(run.glob(f"*/{name}")) for name in _OF_STAGES):
        raise UsageError(
            f"{folder}: nothing has run there; expected exp/<recipe> of a run, or one of its runs"
        )
    command = _command(root, run)
    if not (run / "diagnosis").is_dir():
        whole = shlex.join(_without_until(command))
        return Diagnosed(root.name, "unfinished", None, None, (), (whole,))
    findings = read_findings(run / "diagnosis" / DIAGNOSIS_FILE)
    stages = {path.name for path in run.iterdir() if path.is_dir()}
    if findings:
        commands = _remedies(command, stages, _speaks_language(run), findings)
        return Diagnosed(root.name, "suspect", None, None, findings, commands)
    commands = (
        f"unsup-asr report {root.name} --exp {shlex.quote(str(root.parent))}",
        f"unsup-asr transcribe {shlex.quote(str(root / LATEST / 'model'))} NEW.wav",
    )
    return Diagnosed(root.name, "good", None, None, (), commands)


def _begun_since(root: Path, run: Path) -> Path | None:
    """The folder that a stage was last being made in, if that was after the latest run ended."""
    partial = [path for path in root.glob(f"*/*{_PARTIAL}") if path.is_dir()]
    if not partial:
        return None
    newest = max(partial, key=_touched)
    ended = max((path.stat().st_mtime for path in run.glob("*/stage.json")), default=0.0)
    return newest if _touched(newest) > ended else None


def _touched(folder: Path) -> float:
    log = folder / LOG
    return (log if log.is_file() else folder).stat().st_mtime


def _of_broken(root: Path, partial: Path) -> Diagnosed:
    stage, run = partial.parent.name, root / LATEST
    command = _without_until(_command(root, run))
    findings = _signs_so_far(root)
    if _is_held(partial):
        follow = f"unsup-asr status {root.name} --follow --exp {shlex.quote(str(root.parent))}"
        return Diagnosed(root.name, "running", stage, None, findings, (follow,))
    error = _last_error(partial / LOG)
    again = shlex.join(command)
    commands = (again,)
    if "memory" in error.lower() or "killed" in error:
        commands = (f"{again} runtime.num_threads=1",)
    elif "interrupted" not in error:
        commands = (f"unsup-asr validate {shlex.join(command[2:])}", again)
    return Diagnosed(root.name, "broken", stage, error, findings, commands)


def _is_held(partial: Path) -> bool:
    """Whether a process is at work in the folder."""
    lock = FileLock(partial.with_name(f".{partial.name.removesuffix(_PARTIAL)}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def _last_error(log: Path) -> str:
    """The last line of the traceback of a stage's log, or how it ended without one."""
    lines = log.read_text("utf-8", errors="replace").splitlines() if log.is_file() else []
    said = [line for line in lines if line.strip()]
    if said and " ended by " in said[-1]:
        return f"interrupted: ended by {said[-1].rpartition(' ended by ')[2]}"
    if any(line.startswith("Traceback ") for line in said):
        return said[-1].strip()
    return (
        "its log ends without an error: the process was killed, as the system does where memory "
        "runs out, or the machine stopped"
    )


def _signs_so_far(root: Path) -> tuple[Finding, ...]:
    """What looks wrong with the system that was finished last, without references."""
    written = [path for path in root.glob("*/*/hypotheses/train.tsv") if _text_of(root, path)]
    if not written:
        return ()
    newest = max(written, key=lambda path: (path.parents[1] / "stage.json").stat().st_mtime)
    text = _text_of(root, newest)
    assert text is not None
    stage = newest.parents[2].name
    inventory = read_inventory(text / "inventory.json")
    sentences = [
        [phone for word in sentence for phone in word]
        for sentence, _ in zip(
            iter_phone_sentences(text / "phones.txt"), range(_MOST_SENTENCES), strict=False
        )
    ]
    output = [h.phones for h in read_hypotheses(newest)][:_MOST_SENTENCES]
    diagnosis = instantiate(OmegaConf.create({"_target_": "gan.diagnose.Diagnosis"}))
    found = diagnosis.findings(
        [phone_ids(phones, inventory) for phones in output],
        [phone_ids(phones, inventory) for phones in sentences],
        [],
        num_phones=len(inventory),
    )
    no_time = [1.0] * len(output)  # rates are not asked for
    signs = {
        TEXT: signs_of_text(sentences, seconds=no_time, perplexity=math.nan),
        stage: signs_of(output, sentences, seconds=no_time, perplexity=math.nan, final=output),
    }
    found += diagnosis.unlike_text(signs, [stage])
    return tuple(Finding(one.kind, f"in {stage}, {one.message}") for one in found)


def _text_of(root: Path, hypotheses: Path) -> Path | None:
    """The text that a finished system was made from; None where it is not finished."""
    record = read_record(hypotheses.parents[1]) or {}
    inputs = record.get("inputs")
    key = inputs.get("text") if isinstance(inputs, Mapping) else None
    return root / "text" / str(key) if key else None


def _command(root: Path, run: Path) -> list[str]:
    """The command that made a run, or the shortest that makes one of the recipe."""
    record = read_run(run.resolve()) if run.is_dir() else None
    return shlex.split(record.command) if record else ["unsup-asr", "run", root.name]


def _without_until(command: Sequence[str]) -> list[str]:
    kept = list(command)
    if "--until" in kept:
        at = kept.index("--until")
        del kept[at : at + 2]
    return kept


def _speaks_language(run: Path) -> bool:
    """Whether espeak-ng made the phones of the text, so that its voices can read it."""
    record = read_record(run / "text") or {}
    return "EspeakFrontEnd" in json.dumps(record.get("config"))


def _remedies(
    command: Sequence[str], stages: set[str], has_voices: bool, findings: Sequence[Finding]
) -> tuple[str, ...]:
    """What is worth trying next, the likeliest first: another start, then other seeds."""
    run = shlex.join(command)
    seeds = shlex.join(["unsup-asr", "sweep", *command[2:], "seed=0,1,2"])
    kinds = {finding.kind for finding in findings}
    tried: list[str] = []
    if kinds - {"length", "silence"}:
        if "spoken_model" in stages and "matching" not in stages:
            tried.append(f"{run} {shlex.join(_JOINED)}")
        elif "spoken_model" not in stages and has_voices:
            tried.append(f"{run} start=spoken_text self_training=ctc_augmented")
    return (*tried, f"unsup-asr validate {shlex.join(command[2:])}", seeds)
