"""Single frames of segments, for objectives that classify frames and not pooled segments.

Yeh et al. 2019 classify frames beside their neighbours (11 in a row) and draw one frame of each
segment in every update.

Axes: T frames, S segments, D dims.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unsup_asr.ranges import NonNegativeInt, PositiveFraction
from unsup_asr.types import Float32Array, Int32Array


@dataclass(frozen=True, kw_only=True)
class SplicedFrames:
    """Frames from the middle `share` of each segment, each beside `context` neighbours a side.

    The first and the last frame of an utterance stand for what lies beyond its ends.
    """

    context: NonNegativeInt = 5
    share: PositiveFraction = 0.5

    def __post_init__(self) -> None:
        if self.context < 0:
            raise ValueError(f"context is {self.context}; expected at least 0 frames")
        if not 0 < self.share <= 1:
            raise ValueError(f"share is {self.share}; expected above 0, at most 1")

    def rows(
        self, features_TD: Float32Array, boundaries: Int32Array, *, count: int
    ) -> Float32Array:
        """`count` spliced frames of each segment, one after the other in its row, spread evenly.

        (S, count * (2 * context + 1) * D); one alone is the middle frame. ValueError where the
        boundaries do not tile the frames.
        """
        if boundaries[0] != 0 or boundaries[-1] != len(features_TD):
            raise ValueError(
                f"boundaries from {boundaries[0]} to {boundaries[-1]} for {len(features_TD)} "
                "frames; expected 0 to the number of frames: were both made from the same features?"
            )
        edge = self.share / 2
        places = np.linspace(0.5 - edge, 0.5 + edge, count) if count > 1 else np.array([0.5])
        drawn_SC = boundaries[:-1, None] + places * (np.diff(boundaries)[:, None] - 1)
        neighbours = np.arange(-self.context, self.context + 1)
        index = drawn_SC.round().astype(np.int64)[:, :, None] + neighbours
        spliced = features_TD[index.clip(0, len(features_TD) - 1)]
        return spliced.reshape(len(drawn_SC), -1).astype(np.float32, copy=False)
