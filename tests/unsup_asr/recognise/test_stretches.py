"""Stretches of a recording: each has its own phones, together they have all."""

from __future__ import annotations

from unsup_asr.recognise.stretches import Heard, joined, own_part
from unsup_asr.types import Hypothesis, WordHypothesis

PHONES = Hypothesis("u", ("a", "b", "c"), (0.0, 0.9, 2.0), (0.8, 1.5, 2.5), (0.1, 0.2, 0.3))
WORDS = WordHypothesis("u", ("ab", "c"), (0.0, 2.0), (1.5, 2.5), (0.15, 0.3))


def test_own_are_those_whose_middle_lies_inside_cut_to_the_stretch() -> None:
    found = own_part(Heard(PHONES, WORDS, 11.0, 12.2), first_s=10.0)
    assert found.phones == Hypothesis("u", ("b",), (11.0,), (11.5,), (0.2,))
    assert found.words == WordHypothesis("u", (), (), (), ())
    assert own_part(Heard(PHONES, None, 0.0, 3.0), first_s=0.0).phones == PHONES


def test_two_stretches_lose_and_repeat_nothing_wherever_the_cut_lies() -> None:
    for cut_s in (0.0001, 0.4, 0.85, 1.2, 1.7, 2.25, 2.9):
        parts = (Heard(PHONES, WORDS, 0.0, cut_s), Heard(PHONES, WORDS, cut_s, 3.0))
        found = joined(own_part(part, first_s=0.0) for part in parts)
        assert found.phones.phones == PHONES.phones, cut_s
        assert found.phones.confidences == PHONES.confidences
        assert found.words is not None
        assert found.words.words == WORDS.words
        assert (found.start_s, found.end_s) == (0.0, 3.0)


def test_a_stretch_without_words_does_not_hide_those_of_others() -> None:
    silent = Heard(Hypothesis("u", ()), None, 3.0, 4.0)
    assert joined([Heard(PHONES, WORDS, 0.0, 3.0), silent]).words == WORDS
    assert joined([silent]).words is None
