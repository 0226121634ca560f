"""Pauses where long silences were cut: what a classifier of frames can learn silence from.

A detector of silence cuts long pauses and leaves a few frames of each (`features.silence`). These
are no phone's, whatever the labels say. Axes: K kept frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unsup_asr.ranges import OpenFraction
from unsup_asr.types import BoolArray, Int32Array


@dataclass(frozen=True, kw_only=True)
class Pauses:
    """`share` of the words and pauses that are searched for are pauses."""

    share: OpenFraction = 0.1


def beside_cuts(kept_K: Int32Array, keep_frames: int) -> BoolArray:
    """True for the frames that are left of a pause that was cut, half of `keep_frames` before each
    cut and half behind it; `kept_K` has the original index of each frame.
    """
    is_pause_K = np.zeros(len(kept_K), dtype=bool)
    before = (keep_frames + 1) // 2
    for cut in np.flatnonzero(np.diff(kept_K) > 1) + 1:
        is_pause_K[max(0, cut - before) : cut + keep_frames - before] = True
    return is_pause_K
