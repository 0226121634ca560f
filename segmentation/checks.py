"""What every fit and every segmenter demands of its input, with one wording."""

from __future__ import annotations

import numpy as np

from unsup_asr.types import Float32Array


def check_rows(rows_ND: Float32Array, *, what: str, dim: int | None = None) -> None:
    """ValueError unless `rows_ND` is a non-empty finite matrix (of `dim` columns, if given)."""
    if rows_ND.ndim != 2 or len(rows_ND) == 0:
        raise ValueError(f"{what}: shape {rows_ND.shape}; expected (rows, dims), at least one row")
    if dim is not None and rows_ND.shape[1] != dim:
        raise ValueError(
            f"{what}: {rows_ND.shape[1]} dims; expected {dim}, as in training. "
            "Use the same feature configuration for both"
        )
    is_bad_N = ~np.isfinite(rows_ND).all(axis=1)
    if is_bad_N.any():
        raise ValueError(
            f"{what}: {np.count_nonzero(is_bad_N)} of {len(rows_ND)} rows hold NaN or infinite "
            f"values (first: row {int(np.argmax(is_bad_N))}); expected finite features. "
            "Check the audio or the feature stage"
        )
