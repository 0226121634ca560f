"""Segments of equal length, for models that find their own units.

Axes: T frames, D dims.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from segmentation.checks import check_rows
from segmentation.curves import with_ends
from unsup_asr.formats.ragged import RaggedArray
from unsup_asr.types import Float32Array, Int32Array


@dataclass
class UniformSegments:
    """A boundary every `frames` frames; the last segment may be shorter (Liu et al. 2022)."""

    frames: int = 2

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise ValueError(f"frames is {self.frames}; expected at least 1")

    def fit(self, features: RaggedArray) -> None:
        """Nothing to learn; ValueError for NaN."""
        check_rows(features.values_array, what="features")

    def boundaries(self, features_TD: Float32Array) -> Int32Array:
        """0, frames, 2 frames, ..., T."""
        check_rows(features_TD, what="features")
        return with_ends(np.arange(self.frames, len(features_TD), self.frames), len(features_TD))

    def save(self, folder: Path) -> None:
        """Write uniform.json."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "uniform.json").write_text(json.dumps(asdict(self)), "utf-8")

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote."""
        path = folder / "uniform.json"
        if not path.is_file():
            raise ValueError(f"{path} does not exist; expected what UniformSegments.save wrote")
        self.frames = int(json.loads(path.read_text("utf-8"))["frames"])
