"""What is recorded of a stage beside its results: its log, memory and versions."""

from __future__ import annotations

import importlib.metadata
import logging
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unsup_asr import PACKAGES

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
