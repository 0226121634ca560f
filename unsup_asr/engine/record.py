"""What is recorded beside results: of a stage its log, memory and versions; of a run its command,
commit and day, in `exp/<recipe>/runs.json`.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import logging
import resource
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from unsup_asr import PACKAGES
from unsup_asr.engine.artifacts import RECORD
from unsup_asr.types import RunRecord

_DISTRIBUTIONS = (
    *("unsup-asr", "torch", "torchaudio", "faiss-gpu", "faiss-cpu", "kenlm", "phonemizer"),
    *("espeakng-loader", "wordfreq", "numpy", "scipy"),
)


def peak_rss_mb() -> float:
    """Peak resident memory of this process so far, or of its largest child: 10^6 bytes."""
    kibibytes = max(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return round(kibibytes * 1024 / 1e6, 1)


def versions() -> dict[str, str]:
    """Installed versions of the distributions that decide results."""
    found: dict[str, str] = {}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # faiss has one of two names; a plug-in may do without the rest
    return found


class _StageLog(logging.FileHandler):
    """A log file whose own trouble (a full disk) leaves no traceback: the stage reports it."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Say nothing."""


@contextmanager
def logged_to(path: Path) -> Iterator[None]:
    """Copy the packages' log records into a file while the stage runs."""
    handler = _StageLog(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in PACKAGES]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
        handler.close()


RUNS = "runs.json"
_NO_COMMIT = "not in a repository"


def record_of(recipe: str, overrides: Sequence[str]) -> RunRecord:
    """The record of a run that begins now."""
    command = shlex.join(["unsup-asr", "run", recipe, *overrides])
    now = datetime.datetime.now(datetime.UTC)
    commit = _commit(Path(__file__).resolve().parents[2])
    return RunRecord(command, commit, now.date().isoformat(), now.timestamp())


def keep_record(root: Path, last_stage: Path, record: RunRecord) -> None:
    """Remember the record under the key of the last stage, whole or not at all.

    What was done before keeps the record of the run that did it.
    """
    if (last_stage / RECORD).stat().st_mtime < record.began_s:
        return
    records = _read(root / RUNS)
    records[last_stage.name] = asdict(record)
    partial = root / f"{RUNS}.partial"
    text = json.dumps(records, indent=1, ensure_ascii=False)
    partial.write_text(text, "utf-8", errors="backslashreplace")  # as in stage.json
    partial.replace(root / RUNS)


def read_record_of_run(root: Path, key: str) -> RunRecord | None:
    """The record under a key; None where the run kept none."""
    fields = _read(root / RUNS).get(key)
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
