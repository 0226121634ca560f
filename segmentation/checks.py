"""What every fit and every segmenter demands of its input, with one wording."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_BLOCK_ROWS = 65536


def blocks(rows_ND: NDArray[np.floating]) -> Iterator[NDArray[np.floating]]:
    """The rows, some at a time: of a memory map, no more is in memory."""
    for first in range(0, len(rows_ND), _BLOCK_ROWS):
        yield rows_ND[first : first + _BLOCK_ROWS]


def check_shape(rows_ND: NDArray[np.floating], *, what: str, dim: int | None = None) -> None:
    """ValueError unless `rows_ND` is a non-empty matrix (of `dim` columns, if given)."""
    if rows_ND.ndim != 2 or len(rows_ND) == 0:
        raise ValueError(f"{what}: shape {rows_ND.shape}; expected (rows, dims), at least one row")
    if dim is not None and rows_ND.shape[1] != dim:
        raise ValueError(
            f"{what}: {rows_ND.shape[1]} dims; expected {dim}, as in training. "
            "Use the same feature configuration for both"
        )


def check_rows(rows_ND: NDArray[np.floating], *, what: str, dim: int | None = None) -> None:
    """ValueError unless `rows_ND` is a non-empty finite matrix (of `dim` columns, if given)."""
    check_shape(rows_ND, what=what, dim=dim)
    is_bad_N = np.concatenate([~np.isfinite(block).all(axis=1) for block in blocks(rows_ND)])
    if is_bad_N.any():
        raise ValueError(
            f"{what}: {np.count_nonzero(is_bad_N)} of {len(rows_ND)} rows hold NaN or infinite "
            f"values (first: row {int(np.argmax(is_bad_N))}); expected finite features. "
            "Check the audio or the feature stage"
        )
