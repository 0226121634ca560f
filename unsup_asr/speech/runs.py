"""Where labels change: runs of equal neighbours."""

from __future__ import annotations

import numpy as np

from unsup_asr.types import Int32Array


def merge_repeats(ids: Int32Array) -> Int32Array:
    """The sequence with runs of one id cut to one."""
    if len(ids) == 0:
        return ids
    return ids[np.concatenate([[True], ids[1:] != ids[:-1]])]
