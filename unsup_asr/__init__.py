"""Speech recognition without transcripts: the spine (data, stages, command line, reports).

What scripts and notebooks need stands here; docs/python-api.md shows it at work. Each name is
imported when it is first used, so that `import unsup_asr` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unsup_asr.report.rows import ErrorRow as ErrorRow
    from unsup_asr.report.rows import score as score
    from unsup_asr.report.run import load_results as load_results
    from unsup_asr.transcribe import load_model as load_model
    from unsup_asr.transcribe import load_word_model as load_word_model
    from unsup_asr.types import Hypothesis as Hypothesis
    from unsup_asr.types import WordHypothesis as WordHypothesis

PACKAGES = ("unsup_asr", "segmentation", "gan", "lm")  # of this distribution

_HOME = {
    "ErrorRow": "unsup_asr.report.rows",
    "Hypothesis": "unsup_asr.types",
    "WordHypothesis": "unsup_asr.types",
    "load_model": "unsup_asr.transcribe",
    "load_results": "unsup_asr.report.run",
    "load_word_model": "unsup_asr.transcribe",
    "score": "unsup_asr.report.rows",
}
__all__ = ["PACKAGES", *_HOME]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'unsup_asr' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
