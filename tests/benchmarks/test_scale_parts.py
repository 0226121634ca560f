"""The benchmark of memory runs, and a part that holds all frames is named."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest

from benchmarks import scale_parts as scale
from unsup_asr.formats.ragged import RaggedArray


def _hold_all(features: RaggedArray, labels: RaggedArray) -> None:
    rows = np.array(features.values_array, dtype=np.float64)
    assert len(rows) == len(labels.values_array)
    with mmap.mmap(-1, rows.nbytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as held:
        held.write(rows.tobytes())  # pages of its own: the heap may have room of earlier tests
        scale.time.sleep(0.1)


def test_memory_of_a_part_that_holds_all_frames_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(scale._PARTS, "holds", (64, 50.0, _hold_all))
    scale.write_features(tmp_path, num_frames=50000, dim=64)
    memory_mb, seconds = scale.measured("holds", str(tmp_path))
    assert memory_mb > 20  # 50000 x 64 x 8 bytes are 24.4 MB
    assert seconds > 0
