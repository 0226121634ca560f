"""Features made unlike themselves, so that a network does not learn a voice or a pace by heart.

Axes: T frames, D dims.
"""

from __future__ import annotations

import numpy as np

from unsup_asr.types import Float32Array, Float64Array

_PIECE_FRAMES = 40  # the pace changes after so many frames


def bent_times(num_frames: int, max_factor: float, rng: np.random.Generator) -> Float64Array:
    """Time bent piece by piece, each piece by a factor of 1/max_factor to max_factor.

    Of each new frame, where it is among the old ones: its number, with a fraction.
    """
    num_pieces = max(1, num_frames // _PIECE_FRAMES)
    log_factors = rng.uniform(-np.log(max_factor), np.log(max_factor), size=num_pieces)
    piece_T = np.minimum(np.arange(num_frames) // _PIECE_FRAMES, num_pieces - 1)
    ends_T = np.cumsum(np.exp(log_factors)[piece_T])  # where each frame ends in the new time
    wanted = np.arange(max(1, int(ends_T[-1]))) + 0.5
    return np.interp(wanted, ends_T - 0.5, np.arange(num_frames))


def resampled(features_TD: Float32Array, times_T: Float64Array) -> Float32Array:
    """Features at these times, between frames by a straight line."""
    before = np.floor(times_T).astype(int)
    after = np.minimum(before + 1, len(features_TD) - 1)
    share = (times_T - before)[:, None].astype(np.float32)
    return (features_TD[before] * (1 - share) + features_TD[after] * share).astype(np.float32)
