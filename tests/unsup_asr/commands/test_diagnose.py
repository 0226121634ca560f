"""`diagnose`: what it says of runs that ended well, failed, broke off or still run."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from omegaconf import OmegaConf

from unsup_asr.cli import main
from unsup_asr.engine.recipe import load_recipe
from unsup_asr.engine.stages import Stage, StageContext, StageFailedError, run_stages
from unsup_asr.formats.hypotheses import write_hypotheses
from unsup_asr.formats.phone_text import write_phone_sentences
from unsup_asr.pipeline import build_graph
from unsup_asr.report.signs import Finding, write_findings
from unsup_asr.types import Hypothesis, RunRecord

RECIPES = Path(__file__).parents[3] / "recipes"
WALKS = np.random.default_rng(0).choice([1, 2], p=[0.8, 0.2], size=(60, 12)).cumsum(1) % 8
SENTENCES = [[chr(ord("a") + i) for i in walk] for walk in WALKS]
COMMAND = "unsup-asr run demo seed=1"


def text(context: StageContext) -> None:
    write_phone_sentences(context.out / "phones.txt", [[tuple(s)] for s in SENTENCES])
    inventory = {"phones": list("abcdefgh")}
    (context.out / "inventory.json").write_text(json.dumps(inventory), "utf-8")


def wrote(output: list[list[str]]):
    def run(context: StageContext) -> None:
        hypotheses = [Hypothesis(f"u{i}", tuple(p)) for i, p in enumerate(output)]
        write_hypotheses(context.out / "hypotheses" / "train.tsv", hypotheses)

    return run


def fails(context: StageContext) -> None:
    raise ValueError("the disk has no room for 3 files")


def graph(*, start: str = "matching", found: list[Finding] | None = None) -> list[Stage]:
    """A run in the shape of the real ones."""

    def diagnosis(context: StageContext) -> None:
        write_findings(context.out / "diagnosis.json", found or [])

    return [
        Stage("text", text, config_keys=("text",)),
        Stage(start, wrote(SENTENCES), ("text",)),
        Stage("realign_1", wrote(SENTENCES), ("text", start)),
        Stage("diagnosis", diagnosis, ("realign_1",)),
    ]


def made(exp: Path, stages: list[Stage], *, command: str = COMMAND) -> Path:
    front_end = {"front_end": {"_target_": "lm.front_end.EspeakFrontEnd"}}
    config = OmegaConf.create({"seed": 0, "text": front_end, "runtime": {"num_threads": 1}})
    root = exp / "demo"
    run_stages(stages, config, root, record=RunRecord(command, "abc", "2026-01-01"))
    return root


def said(root: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict]:
    capsys.readouterr()
    code = main(["diagnose", str(root), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_run_without_findings_is_good_and_goes_on_to_its_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = made(tmp_path, graph())
    code, found = said(root, capsys)
    assert (code, found["state"], found["findings"]) == (0, "good", [])
    assert found["commands"][0] == f"unsup-asr report demo --exp {tmp_path}"
    (one_run,) = (root / "runs").glob("[!.]*")
    assert said(one_run, capsys) == (code, found)


@pytest.mark.parametrize(
    ("start", "kind", "first"),
    [
        ("matching", "unlike_text", "run demo seed=1 start=spoken_text"),
        ("spoken_model", "unlike_text", "run demo seed=1 start=joined matching=spoken_channel"),
        ("matching", "length", "validate demo seed=1"),
    ],
)
def test_findings_propose_another_start_with_options_that_exist(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], start: str, kind: str, first: str
) -> None:
    root = made(tmp_path, graph(start=start, found=[Finding(kind, "many phones are wrong")]))
    code, found = said(root, capsys)
    assert (code, found["state"]) == (1, "suspect")
    assert found["findings"] == [{"kind": kind, "message": "many phones are wrong"}]
    assert found["commands"][0].startswith(f"unsup-asr {first}")
    for command in found["commands"]:
        _, verb, recipe, *options = shlex.split(command)
        given = [option for option in options if "," not in option]
        assert build_graph(load_recipe(str(RECIPES / recipe), given)), verb
    assert main(["diagnose", str(root)]) == 1
    assert "  ! many phones are wrong\nnext:\n  unsup-asr" in capsys.readouterr().out


def test_no_voices_are_proposed_for_a_text_that_espeak_did_not_phonemize(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = made(tmp_path, graph(found=[Finding("changed", "wrong")]))
    record = next((root / "text").glob("*/stage.json"))
    record.write_text(record.read_text("utf-8").replace("EspeakFrontEnd", "GraphemeFrontEnd"))
    assert not any("spoken" in command for command in said(root, capsys)[1]["commands"])


def test_a_run_that_was_stopped_before_the_end_says_how_to_end_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = made(tmp_path, graph()[:2], command=f"{COMMAND} --until matching")
    code, found = said(root, capsys)
    assert (code, found["state"], found["commands"]) == (3, "unfinished", [COMMAND])


def test_a_broken_stage_is_named_with_its_error_and_what_was_wrong_before_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = graph()[:2]
    stages[1] = Stage("matching", wrote([["a", "b"] * 6] * 60), ("text",))
    with pytest.raises(StageFailedError):
        made(tmp_path, [*stages, Stage("realign_1", fails, ("text", "matching"))])
    code, found = said(tmp_path / "demo", capsys)
    assert (code, found["state"], found["stage"]) == (4, "broken", "realign_1")
    assert found["error"] == "ValueError: the disk has no room for 3 files"
    assert found["findings"][0]["kind"] == "few_phones"
    assert found["findings"][0]["message"].startswith("in matching, only 2 of 8 phones are used")
    assert found["commands"] == ["unsup-asr validate demo", "unsup-asr run demo"]


def test_a_killed_stage_is_told_from_one_that_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = made(tmp_path, graph())
    partial = root / "realign_1" / "0123456789ab.partial"
    partial.mkdir()
    (partial / "log.txt").write_text("2026 INFO unsup_asr: stage realign_1\n", "utf-8")
    code, found = said(root, capsys)
    assert (code, found["state"]) == (4, "broken")
    assert "killed" in found["error"]
    assert found["commands"] == [f"{COMMAND} runtime.num_threads=1"]
    with FileLock(root / "realign_1" / ".0123456789ab.lock", thread_local=False):
        assert said(root, capsys)[1]["state"] == "running"


def test_an_experiment_that_is_none_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diagnose", str(tmp_path / "none")]) == 2
    assert "no such folder; expected exp/<recipe>" in capsys.readouterr().err
    assert main(["diagnose", str(tmp_path)]) == 2
    assert "nothing has run there" in capsys.readouterr().err
    (tmp_path / "releases" / "latest" / "data").mkdir(parents=True)
    assert main(["diagnose", str(tmp_path / "releases")]) == 2
    assert "nothing has run there" in capsys.readouterr().err
