"""Ragged arrays between processes."""

from __future__ import annotations

import copy
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np

from unsup_asr.formats.ragged import RaggedArray, RaggedWriter


def test_another_process_is_told_where_rows_lie_and_sent_none_of_them(tmp_path: Path) -> None:
    with RaggedWriter(tmp_path) as writer:
        writer.append("a", np.arange(20_000.0).reshape(-1, 2))
        writer.append("b", np.ones((3, 2)))
    there = RaggedArray.open(tmp_path)
    assert len(ForkingPickler.dumps(there)) < 1000
    found = copy.copy(there)  # by the same protocol
    assert list(found) == ["a", "b"]
    np.testing.assert_array_equal(found["a"], there["a"])


def test_rows_in_memory_are_sent() -> None:
    here = RaggedArray.from_arrays({"a": np.ones((3, 2)), "b": np.zeros((1, 2))})
    found = copy.copy(here)
    assert list(found) == ["a", "b"]
    np.testing.assert_array_equal(found["a"], here["a"])


def test_rows_are_written_once_however_many_digits_their_number_has(tmp_path: Path) -> None:
    with RaggedWriter(tmp_path, dtype="int8") as writer:
        writer.append("a", np.ones((1, 2)))
        writer.append("b", np.full((1_234_567, 2), 3))
        assert (tmp_path / "values.raw").is_file()
    found = RaggedArray.open(tmp_path)
    assert found["a"].tolist() == [[1, 1]]
    assert found["b"].shape == (1_234_567, 2)
    assert bool((found["b"] == 3).all())
    assert not (tmp_path / "values.raw").exists()
