"""Times in the original audio of what was found in trimmed frames."""

import numpy as np
import pytest

from unsup_asr.formats.textgrid import textgrid
from unsup_asr.recognise.timing import spans, timed
from unsup_asr.types import FrameTiming, Hypothesis

TIMING = FrameTiming(shift_s=0.01, first_centre_s=0.005)  # a frame begins at its index times 10 ms
# Frames 0 to 4, a pause of five frames that was cut, frames 10 to 12.
KEPT = np.array([0, 1, 2, 3, 4, 10, 11, 12], dtype=np.int32)


def seconds(edges: list[int]) -> tuple[list[float], list[float]]:
    starts, ends = spans(np.array(edges), KEPT, TIMING)
    return [round(s, 6) for s in starts], [round(e, 6) for e in ends]


def test_without_a_cut_one_ends_where_the_next_begins() -> None:
    assert seconds([0, 2, 4]) == ([0.0, 0.02], [0.02, 0.04])


def test_what_stands_before_a_cut_ends_there_and_what_follows_begins_behind_it() -> None:
    assert seconds([0, 5, 8]) == ([0.0, 0.10], [0.05, 0.13])


def test_what_reaches_over_a_cut_ends_at_it() -> None:
    assert seconds([0, 3, 6, 8]) == ([0.0, 0.03, 0.11], [0.03, 0.05, 0.13])


def test_edges_beyond_the_last_frame_end_with_it() -> None:
    assert seconds([6, 9]) == ([0.11], [0.13])  # frames are stacked by threes: 9 stands for 8


def test_every_span_is_forward_and_disjoint_whatever_was_cut() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        kept = np.flatnonzero(rng.random(40) < 0.7).astype(np.int32)
        inner = np.flatnonzero(rng.random(len(kept) - 1) < 0.4) + 1
        edges = np.array([0, *inner, len(kept)])
        starts, ends = spans(edges, kept, TIMING)
        flat = np.array([starts, ends]).T.ravel()
        assert (np.diff(flat)[::2] > 0).all()
        assert (np.diff(flat) >= -1e-9).all()
        heard = sum(b - a for a, b in zip(starts, ends, strict=True))
        assert heard <= len(kept) * 0.01 + 1e-9  # no second of cut silence


def test_a_textgrid_leaves_the_cut_silence_empty() -> None:
    found = timed("u", ["a", "b"], np.array([0, 5, 8]), KEPT, TIMING, [0.5, 0.25])
    assert found == Hypothesis(
        "u", ("a", "b"), (0.0, pytest.approx(0.10)), (pytest.approx(0.05), pytest.approx(0.13)),
        (0.5, 0.25),
    )  # fmt: skip
    lines = textgrid(found, duration_s=0.13).splitlines()
    labels = [x.split(" = ")[1] for x in lines if "text" in x]
    assert labels == ['"a"', '""', '"b"', '"0.50"', '""', '"0.25"']
