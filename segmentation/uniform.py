"""Segments of equal length, for models that find their own units.

Axes: T frames, D dims.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from segmentation.checks import check_rows
from segmentation.curves import with_ends
from unsup_asr.formats.checked import read_json
from unsup_asr.protocols import UtteranceFrames
from unsup_asr.ranges import Positive
from unsup_asr.types import Float32Array, FrameTiming, Int32Array

_ROUNDING = 1e-6  # of a ratio of two times in floating point


@dataclass
class UniformSegments:
    """A boundary every `segment_s` seconds, None for every frame; the last segment may be shorter.

    wav2vec-U 2.0 reads every frame (Liu et al. 2022).
    """

    segment_s: Positive | None = 0.02
    frames: int | None = field(init=False, repr=False, default=None)  # a segment, once fitted

    def __post_init__(self) -> None:
        if self.segment_s is not None and not 0 < self.segment_s < np.inf:
            raise ValueError(f"segment_s is {self.segment_s}; expected more than 0 seconds")

    def fit(self, features: UtteranceFrames, timing: FrameTiming) -> None:
        """How many frames a segment has; ValueError for NaN, or less than one frame a segment."""
        check_rows(features.values_array, what="features")
        frames = 1.0 if self.segment_s is None else self.segment_s / timing.shift_s
        if abs(frames - round(frames)) > _ROUNDING or round(frames) < 1:
            raise ValueError(
                f"uniform segments: segment_s is {self.segment_s} at one frame every "
                f"{timing.shift_s} s; expected that, or a multiple of it"
            )
        self.frames = round(frames)

    def boundaries(self, features_TD: Float32Array) -> Int32Array:
        """0, frames, 2 frames, ..., T."""
        check_rows(features_TD, what="features")
        frames = self._fitted()
        return with_ends(np.arange(frames, len(features_TD), frames), len(features_TD))

    def save(self, folder: Path) -> None:
        """Write uniform.json."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "uniform.json").write_text(json.dumps({"frames": self._fitted()}), "utf-8")

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote."""
        path = folder / "uniform.json"
        frames = read_json(path, "frames")["frames"]
        if type(frames) is not int or frames < 1:
            raise ValueError(f"{path}: frames is {frames!r}; expected a whole number above 0")
        self.frames = frames

    def _fitted(self) -> int:
        if self.frames is None:
            raise ValueError("UniformSegments is not fitted yet: call fit or load first")
        return self.frames
