"""Runs: which stages belong together, and what command made them.

`exp/<recipe>/runs/<id>/` holds `run.json` and one link a stage; the id is that of its stages' keys.
`exp/<recipe>/latest` is a link to one such folder and is switched once, when a run has ended well:
who reads `latest/<stage>` reads one run, whatever others write into the same experiment.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock

from unsup_asr.formats.finished import read_record
from unsup_asr.formats.whole import write_whole
from unsup_asr.types import RunRecord

RUNS = "runs"
LATEST = "latest"
MANIFEST = "run.json"
_NO_COMMIT = "not in a repository"


def record_of(recipe: str, overrides: Sequence[str], *, until: str | None = None) -> RunRecord:
    """The record of a run that begins now."""
    options = [] if until is None else ["--until", until]
    command = shlex.join(["unsup-asr", "run", recipe, *overrides, *options])
    commit = _commit(Path(__file__).resolve().parents[2])
    return RunRecord(command, commit, datetime.datetime.now(datetime.UTC).date().isoformat())


def keep_run(root: Path, made: Mapping[str, Path], record: RunRecord | None) -> Path:
    """Make the finished stages `made`, folders by name, the latest run of `root`; its folder.

    A run that found all its stages done before keeps the record of the run that made them.
    """
    stages = {name: _made(folder) for name, folder in made.items()}
    run = root / RUNS / run_name({name: str(facts["key"]) for name, facts in stages.items()})
    run.mkdir(parents=True, exist_ok=True)
    scratch = root / RUNS / ".link"  # of one name: what a killed run left is replaced
    with FileLock(root / RUNS / ".lock"):
        for name, folder in made.items():
            _link(run / name, Path("..", "..", folder.parent.name, folder.name), scratch)
        if _read(run).get("stages") != stages:
            manifest = {**(asdict(record) if record else {}), "stages": stages}
            write_whole(run / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False))
        _link(root / LATEST, Path(RUNS, run.name), scratch)
    return run


def run_name(keys: Mapping[str, str]) -> str:
    """Name of the folder of a run whose finished stages have these keys."""
    return hashlib.sha256(json.dumps(dict(keys), sort_keys=True).encode()).hexdigest()[:12]


def make_latest(root: Path, name: str) -> None:
    """Let `latest` be a run that has ended."""
    with FileLock(root / RUNS / ".lock"):
        _link(root / LATEST, Path(RUNS, name), root / RUNS / ".link")


def read_run(run: Path) -> RunRecord | None:
    """The record of a run, by its folder; None where there is none."""
    found = {name: str(value) for name, value in _read(run).items() if name != "stages"}
    try:
        return RunRecord(**found) if found else None
    except TypeError as error:
        raise ValueError(f"{run / MANIFEST}: {error}; remove it, and run again") from error


def _made(folder: Path) -> dict[str, object]:
    record = read_record(folder)
    assert record is not None, f"{folder} is not finished"
    return {"key": folder.name, "identity": record["identity"]}


def _read(run: Path) -> dict[str, object]:
    path = run / MANIFEST
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{path}: damaged ({error}); remove it, and run again") from error


def _link(link: Path, target: Path, scratch: Path) -> None:
    """Let `link` name `target` from now on, in one step; it is made as `scratch`."""
    if link.is_symlink() and link.readlink() == target:
        return
    if link.is_dir() and not link.is_symlink():
        _remove_links(link)
    scratch.unlink(missing_ok=True)
    scratch.symlink_to(target)
    scratch.replace(link)


def _remove_links(folder: Path) -> None:
    """Remove a folder of links, such as earlier versions kept as `latest`."""
    others = [path for path in folder.iterdir() if not path.is_symlink()]
    if others:
        raise ValueError(
            f"{folder} is a folder with files of its own ({others[0].name}); expected a link, "
            "which every run writes anew: move it elsewhere"
        )
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def _commit(folder: Path) -> str:
    """Short hash of the commit checked out, `+` behind it where files differ from it."""
    if _git(folder, "rev-parse", "--show-toplevel") != str(folder):
        return _NO_COMMIT  # installed somewhere, perhaps inside another repository
    return _git(folder, "describe", "--always", "--dirty=+", "--exclude=*") or _NO_COMMIT


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
