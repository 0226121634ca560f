"""Which command, at which commit and when, made the latest results: `exp/<recipe>/runs.json`."""

from __future__ import annotations

import datetime
import json
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from unsup_asr.artifacts import RECORD

FILE = "runs.json"
_NO_COMMIT = "not in a repository"


@dataclass(frozen=True)
class RunRecord:
    """The command without --exp, the commit of this code, and the day it began."""

    command: str
    commit: str
    date: str
    began_s: float  # since 1970


def record_of(recipe: str, overrides: Sequence[str]) -> RunRecord:
    """The record of a run that begins now."""
    command = shlex.join(["unsup-asr", "run", recipe, *overrides])
    now = datetime.datetime.now(datetime.UTC)
    commit = _commit(Path(__file__).resolve().parents[1])
    return RunRecord(command, commit, now.date().isoformat(), now.timestamp())


def keep_record(root: Path, last_stage: Path, record: RunRecord) -> None:
    """Remember the record under the key of the last stage, whole or not at all.

    What was done before keeps the record of the run that did it.
    """
    if (last_stage / RECORD).stat().st_mtime < record.began_s:
        return
    records = _read(root / FILE)
    records[last_stage.name] = asdict(record)
    partial = root / f"{FILE}.partial"
    partial.write_text(json.dumps(records, indent=1, ensure_ascii=False), "utf-8")
    partial.replace(root / FILE)


def read_record_of_run(root: Path, key: str) -> RunRecord | None:
    """The record under a key; None where the run kept none."""
    fields = _read(root / FILE).get(key)
    return RunRecord(**fields) if fields else None


def _read(path: Path) -> dict[str, dict]:
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: damaged ({error}); remove it, and run again") from error


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
