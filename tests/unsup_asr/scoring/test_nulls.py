"""A system that has heard nothing is not told apart from its nulls; one that has is."""

import numpy as np
import pytest

from unsup_asr.scoring.metrics import score
from unsup_asr.scoring.nulls import (
    MARGIN,
    Nulls,
    margin,
    nulls_of,
    phone_frequencies,
    swap_partners,
    works,
)
from unsup_asr.types import Hypothesis, Transcript

PHONES = "abcdefghijklmnop"


def sentences(num: int, *, seed: int) -> list[tuple[str, ...]]:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(20, 40, num)
    return [tuple(PHONES[i] for i in rng.integers(0, 16, n) ** 2 // 16) for n in lengths]


SAID = sentences(40, seed=0)
REFERENCES = [Transcript(f"u{i}", phones) for i, phones in enumerate(SAID)]
FREQUENCIES = phone_frequencies(sentences(300, seed=1))


def per_and_nulls(written: list[tuple[str, ...]]) -> tuple[float, Nulls]:
    # in another order than the references: they are joined by id
    hypotheses = [Hypothesis(f"u{i}", phones) for i, phones in enumerate(written)][::-1]
    per = score(REFERENCES, hypotheses).rate
    return per, nulls_of(REFERENCES, hypotheses, FREQUENCIES, seed=0)


def test_what_was_heard_lies_far_under_both_nulls() -> None:
    per, nulls = per_and_nulls([phones[2:] for phones in SAID])
    assert per < 12
    assert nulls.audio_swap is not None
    assert nulls.audio_swap > 60
    assert nulls.random_phones > 60
    assert works(per, nulls)


def test_language_that_was_not_heard_does_not_work() -> None:
    per, nulls = per_and_nulls(sentences(40, seed=2))
    assert nulls.audio_swap == pytest.approx(per, abs=4)
    assert not works(per, nulls)


def test_the_likeliest_phone_over_and_over_does_not_work_though_random_phones_are_worse() -> None:
    likeliest = max(FREQUENCIES, key=lambda phone: FREQUENCIES[phone])
    per, nulls = per_and_nulls([(likeliest,) * len(phones) for phones in SAID])
    assert nulls.audio_swap == pytest.approx(per, abs=3)
    assert not works(per, nulls)


def test_an_empty_output_loses_all_and_so_do_its_nulls() -> None:
    per, nulls = per_and_nulls([()] * 40)
    assert (per, nulls.audio_swap, nulls.random_phones) == (100, 100, 100)
    assert not works(per, nulls)


def test_the_margin_counts_from_the_lower_null() -> None:
    assert margin(80.0, Nulls(90.0, 84.0)) == pytest.approx(4.0)
    assert not works(80.0, Nulls(90.0, 84.0))
    assert works(85.0 - MARGIN, Nulls(85.0, 90.0))
    assert works(50.0, Nulls(None, 90.0))


def test_an_utterance_is_swapped_with_the_nearest_in_length_that_says_something_else() -> None:
    said = ["aaaa", "bbbbb", "aaaab", "cccccccc", "ddddddd"]
    assert swap_partners([tuple(s) for s in said]) == [1, 2, 1, 4, 3]


def test_a_sentence_that_all_speakers_read_is_no_null() -> None:
    assert swap_partners([tuple("abcdef"), tuple("abcdef"), tuple("abcdeg")]) == [None] * 3
    one = [Transcript("u", ("a", "b"))]
    nulls = nulls_of(one, [Hypothesis("u", ("a", "b"))], {"a": 0.5, "b": 0.5}, seed=0)
    assert nulls.audio_swap is None
    assert 0 < nulls.random_phones < 100


def test_random_phones_follow_the_text_and_the_seed() -> None:
    hypotheses = [Hypothesis(f"u{i}", phones) for i, phones in enumerate(SAID)]
    uniform = dict.fromkeys(FREQUENCIES, 1 / len(FREQUENCIES))
    of_text = nulls_of(REFERENCES, hypotheses, FREQUENCIES, seed=0).random_phones
    assert of_text < nulls_of(REFERENCES, hypotheses, uniform, seed=0).random_phones - 2
    assert of_text == nulls_of(REFERENCES, hypotheses, FREQUENCIES, seed=0).random_phones
    assert of_text != nulls_of(REFERENCES, hypotheses, FREQUENCIES, seed=1).random_phones


def test_a_text_without_phones_is_an_error() -> None:
    with pytest.raises(ValueError, match="the text has no phones"):
        phone_frequencies([[], []])
