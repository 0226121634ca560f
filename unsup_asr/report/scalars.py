"""Curves of stages that learn, as scalars for TensorBoard (extra `tensorboard`): as they are noted
while a stage runs, or from the files of one that noted nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unsup_asr.report.curves import curves_of

_FLUSHED_EVERY_S = 5


def write_tensorboard(stage: Path, out: Path) -> int:
    """Write the curves of a stage's folder into `out`/<stage>/<key>; how many it has.

    ValueError where the package is missing.
    """
    curves = curves_of(stage)
    if not curves:
        return 0
    with _writer(out / stage.parent.name / stage.name) as writer:
        for name, curve in curves.items():
            for step, value in curve.points():
                writer.add_scalar(name, value, step)
    return len(curves)


class LiveScalars:
    """Scalars of a stage as they come, each on disk within seconds."""

    def __init__(self, stage: Path, out: Path) -> None:
        self._folder = out / stage.parent.name / stage.name
        self._writer: Any = None

    @property
    def has_any(self) -> bool:
        """Whether something was written."""
        return self._writer is not None

    def write(self, name: str, step: int, value: float) -> None:
        """One value; ValueError where the package is missing."""
        if self._writer is None:
            self._writer = _writer(self._folder)
        self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()


def _writer(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as error:
        raise ValueError(
            "runtime.tensorboard=true needs the package tensorboard, which is not installed: "
            "pip install 'unsup-asr[tensorboard]'"
        ) from error
    return SummaryWriter(str(folder), flush_secs=_FLUSHED_EVERY_S)
