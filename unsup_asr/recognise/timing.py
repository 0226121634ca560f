"""From trimmed frames to seconds of the original audio."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from unsup_asr.speech.timing import frame_boundary
from unsup_asr.types import Int32Array, Seconds


def boundary_times(
    edges: Int32Array, kept: Int32Array, timing: Mapping[str, float]
) -> list[Seconds]:
    """Seconds in the original audio of edges in trimmed frames (0 to len(kept), ends included)."""
    original = np.append(kept, kept[-1] + 1)[np.minimum(edges, len(kept))]
    return [
        frame_boundary(
            int(f), shift_s=timing["frame_shift_s"], first_centre_s=timing["first_centre_s"]
        )
        for f in original
    ]
