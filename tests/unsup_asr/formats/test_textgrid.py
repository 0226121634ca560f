"""TextGrids: what Praat would read back."""

from __future__ import annotations

import re

import pytest

from unsup_asr.formats.textgrid import textgrid
from unsup_asr.types import Hypothesis, WordHypothesis


def intervals(text: str) -> list[tuple[float, float, str]]:
    found = re.findall(r'intervals \[\d+\]:\n +xmin = (\S+)\n +xmax = (\S+)\n +text = "(.*)"', text)
    return [(float(start), float(end), label) for start, end, label in found]


def hypothesis(*spans: tuple[str, float, float]) -> Hypothesis:
    phones, starts, ends = zip(*spans, strict=True) if spans else ((), (), ())
    return Hypothesis("u1", phones, starts, ends)


def test_intervals_tile_the_recording_and_gaps_have_no_label() -> None:
    text = textgrid(hypothesis(("k", 0.1, 0.2), ("æ", 0.2, 0.35), ("t", 0.4, 0.5)), duration_s=0.6)
    assert intervals(text) == [
        (0, 0.1, ""),
        (0.1, 0.2, "k"),
        (0.2, 0.35, "æ"),
        (0.35, 0.4, ""),
        (0.4, 0.5, "t"),
        (0.5, 0.6, ""),
    ]
    assert "intervals: size = 6" in text


def test_header_is_that_of_the_long_text_format() -> None:
    lines = textgrid(hypothesis(("a", 0, 1.5)), duration_s=1.5).splitlines()
    assert lines[:7] == [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        "xmax = 1.5",
        "tiers? <exists>",
        "size = 1",
    ]


def test_nothing_recognised_is_one_empty_interval() -> None:
    assert intervals(textgrid(hypothesis(), duration_s=2)) == [(0, 2, "")]


def test_confidences_have_intervals_of_their_own() -> None:
    phones = Hypothesis("u1", ("k", "t"), (0.1, 0.4), (0.2, 0.5), (0.914, 0.5))
    words = WordHypothesis("u1", ("cat",), (0.1,), (0.5,), (0.707,))
    text = textgrid(phones, duration_s=0.5, words=words)
    assert re.findall(r'name = "(.+)"', text) == [
        *("words", "words confidence", "phones", "phones confidence")
    ]
    assert "size = 4" in text.splitlines()
    assert [label for _, _, label in intervals(text) if label] == [
        *("cat", "0.71", "k", "t", "0.91", "0.50")
    ]


def test_a_quotation_mark_in_a_label_is_doubled() -> None:
    assert 'text = "a"""\n' in textgrid(hypothesis(('a"', 0, 1)), duration_s=1)


def test_ends_computed_in_floating_point_may_touch() -> None:
    text = textgrid(hypothesis(("a", 0.0, 0.1 + 0.2), ("b", 0.3, 0.6)), duration_s=0.6)
    assert [label for _, _, label in intervals(text)] == ["a", "b"]


@pytest.mark.parametrize(
    "spans",
    [
        [("a", 0.0, 0.5), ("b", 0.4, 0.6)],
        [("a", 0.5, 0.5)],
        [("a", 0.5, 1.2)],
    ],
    ids=["overlap", "empty", "beyond the end"],
)
def test_spans_that_cannot_tile_are_named(spans: list[tuple[str, float, float]]) -> None:
    with pytest.raises(ValueError, match=r"utterance 'u1': phone '.' from"):
        textgrid(hypothesis(*spans), duration_s=1.0)


def test_phones_without_times_are_refused() -> None:
    with pytest.raises(ValueError, match="1 phones, 0 starts and 0 ends"):
        textgrid(Hypothesis("u1", ("a",)), duration_s=1.0)
