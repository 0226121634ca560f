"""How much the spectrum changes at each frame edge, and the peaks of such a curve.

A curve has T + 1 values: value t belongs to the edge between frames t - 1 and t, so that a peak
is a boundary as it stands. The two ends are 0: an utterance starts and ends anyway.
Axes: T frames, D dims, E = T + 1 edges.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d
from scipy.signal import peak_prominences

from unsup_asr.types import Float32Array, Int32Array, Int64Array


def spectral_change(features_TD: Float32Array, *, window_frames: int) -> Float32Array:
    """Distance between the means of the `window_frames` frames left and right of each edge, (E,).

    Euclidean; windows are cut short at the ends of the utterance.
    """
    num_frames, dim = features_TD.shape
    sums_ED = np.concatenate([np.zeros((1, dim)), np.cumsum(features_TD, axis=0, dtype=np.float64)])
    edges = np.arange(1, num_frames)
    left, right = (
        np.maximum(edges - window_frames, 0),
        np.minimum(edges + window_frames, num_frames),
    )
    before = (sums_ED[edges] - sums_ED[left]) / (edges - left)[:, None]
    after = (sums_ED[right] - sums_ED[edges]) / (right - edges)[:, None]
    change_E = np.zeros(num_frames + 1, dtype=np.float32)
    change_E[1:-1] = np.sqrt(np.square(after - before).sum(axis=1))
    return change_E


def peaks(change_E: Float32Array, *, radius_frames: int) -> Int64Array:
    """Inner edges whose value is the largest within `radius_frames` on both sides.

    Of equal neighbours the first is taken, so that a flat curve has no peak but its first edge,
    which is not an inner one.
    """
    # Lifted by a hair towards the left, a plateau has one peak.
    tie_break_E = np.arange(len(change_E), 0, -1) * 1e-9 * max(float(change_E.max()), 1e-30)
    values_E = change_E + tie_break_E
    largest_E = maximum_filter1d(values_E, 2 * radius_frames + 1, mode="nearest")
    is_peak_E = values_E == largest_E
    is_peak_E[[0, -1]] = False
    return np.flatnonzero(is_peak_E)


def peak_strength(change_E: Float32Array, edges: Int64Array, *, by: str) -> NDArray[np.float64]:
    """Height of each peak, or its prominence over the higher of the two valleys beside it."""
    if by == "height":
        return change_E[edges].astype(np.float64)
    return np.asarray(peak_prominences(change_E.astype(np.float64), edges)[0])


def threshold_for_rate(
    strengths: Iterable[NDArray[np.float64]], *, num_frames: int, frames_per_boundary: float
) -> float:
    """The peak strength above which one peak remains every `frames_per_boundary` frames.

    With fewer peaks than that, the threshold keeps them all.
    """
    ascending = np.sort(np.concatenate([np.zeros(0), *strengths]))
    num_wanted = min(round(num_frames / frames_per_boundary), len(ascending))
    if num_wanted == 0:
        raise ValueError(
            f"{len(ascending)} peaks in {num_frames} frames: no boundary would remain. Expected at "
            f"least one in {frames_per_boundary:.1f} frames; is the audio constant, or too short?"
        )
    return float(ascending[-num_wanted])


def with_ends(edges: Int64Array, num_frames: int) -> Int32Array:
    """Inner edges to boundaries: 0 before, the number of frames after."""
    return np.concatenate([[0], edges, [num_frames]]).astype(np.int32)
