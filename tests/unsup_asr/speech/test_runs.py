"""Runs of equal labels."""

import numpy as np
import pytest

from unsup_asr.speech.runs import merge_repeats, run_edges, run_starts


@pytest.mark.parametrize(
    ("labels", "edges", "merged"),
    [
        ([4, 4, 2, 2, 2, 4], [0, 2, 5, 6], [4, 2, 4]),
        ([1], [0, 1], [1]),
        ([-1, -1, 0], [0, 2, 3], [-1, 0]),
        ([], [0], []),
    ],
)
def test_runs_end_where_the_label_changes(
    labels: list[int], edges: list[int], merged: list[int]
) -> None:
    labels_T = np.array(labels, dtype=np.int32)
    assert run_edges(labels_T).tolist() == edges
    assert run_starts(labels_T).tolist() == edges[:-1]
    assert merge_repeats(labels_T).tolist() == merged
    assert merge_repeats(labels_T).dtype == np.int32
