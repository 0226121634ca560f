"""Where labels change: runs of equal neighbours. Axes: T frames, segments or phones."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from unsup_asr.types import Int64Array

_Label = TypeVar("_Label", bound=np.integer)


def run_starts(labels_T: NDArray[np.integer]) -> Int64Array:
    """Index of the first label of each run: 0, and wherever the label changes; none for none."""
    is_start_T = np.ones(len(labels_T), dtype=bool)
    is_start_T[1:] = labels_T[1:] != labels_T[:-1]
    return np.flatnonzero(is_start_T)


def run_edges(labels_T: NDArray[np.integer]) -> Int64Array:
    """`run_starts`, and the number of labels: the boundaries of the runs."""
    return np.append(run_starts(labels_T), len(labels_T))


def merge_repeats(labels_T: NDArray[_Label]) -> NDArray[_Label]:
    """The labels with each run cut to one."""
    return labels_T[run_starts(labels_T)]
