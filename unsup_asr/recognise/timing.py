"""From trimmed frames to seconds of the original audio. Axes: K frames kept, E edges."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unsup_asr.types import FrameTiming, Hypothesis, Int32Array, Seconds


def spans(
    edges_E: NDArray[np.integer], kept_K: Int32Array, timing: FrameTiming
) -> tuple[tuple[Seconds, ...], tuple[Seconds, ...]]:
    """Start and end of each stretch between two edges, E - 1 of both.

    Edges are trimmed frames from 0 to K, ends included; `kept_K` has the original index of each.
    Silence that was cut out belongs to no stretch: one that reaches over a cut ends there.
    """
    is_last_K = np.append(np.diff(kept_K) != 1, True)  # before a cut, or of the utterance
    last = len(kept_K) - 1
    first_E = np.minimum(edges_E[:-1], last)
    cut_E = np.flatnonzero(is_last_K)
    cut_E = cut_E[np.searchsorted(cut_E, first_E)]
    final_E = np.minimum(np.maximum(np.minimum(edges_E[1:] - 1, last), first_E), cut_E)
    return (
        tuple(timing.boundary_s(int(frame)) for frame in kept_K[first_E]),
        tuple(timing.boundary_s(int(frame) + 1) for frame in kept_K[final_E]),
    )


def timed(
    utterance_id: str,
    phones: Sequence[str],
    edges_E: NDArray[np.integer],
    kept_K: Int32Array,
    timing: FrameTiming,
    confidences: Sequence[float] = (),
) -> Hypothesis:
    """The hypothesis of phones between edges in trimmed frames, with times of the audio."""
    starts_s, ends_s = spans(edges_E, np.asarray(kept_K), timing)
    return Hypothesis(utterance_id, tuple(phones), starts_s, ends_s, tuple(confidences))
