import numpy as np
import pytest

from lm.silence import SilenceInText, insert_silence, insert_silences

SENTENCE = [("a", "b"), ("c",), (), ("d",)]


def silenced(probability: float, *, at_ends: bool) -> str:
    generator = np.random.default_rng(0)
    return " ".join(
        insert_silence(SENTENCE, probability=probability, at_ends=at_ends, generator=generator)
    )


def test_certain_silence_stands_between_words_that_have_phones():
    assert silenced(1.0, at_ends=False) == "a b <SIL> c <SIL> d"


def test_ends_get_silence_on_demand():
    assert silenced(0.0, at_ends=True) == "<SIL> a b c d <SIL>"


def test_a_sentence_without_phones_stays_empty():
    generator = np.random.default_rng(0)
    assert insert_silence([(), ()], probability=1.0, at_ends=True, generator=generator) == ()


def test_the_share_of_silences_is_the_probability_and_the_seed_decides():
    sentences = [[("a",)] * 101] * 200
    first, again = (
        insert_silences(
            sentences, probability=0.3, at_ends=False, generator=np.random.default_rng(4)
        )
        for _ in range(2)
    )
    share = sum(s.count("<SIL>") for s in first) / (200 * 100)
    assert share == pytest.approx(0.3, abs=0.015)
    assert first == again


def test_an_impossible_probability_is_an_error():
    with pytest.raises(ValueError, match=r"silence probability is 1\.5"):
        silenced(1.5, at_ends=False)


def test_the_text_of_a_game_has_its_silences_from_the_seed() -> None:
    sentences = [[("a",), ("b",)]] * 40
    inserted = SilenceInText(probability=0.25).insert(sentences)
    assert all(sentence[0] == sentence[-1] == "<SIL>" for sentence in inserted)
    assert 3 <= sum(sentence.count("<SIL>") - 2 for sentence in inserted) <= 20
    assert inserted == SilenceInText(probability=0.25).insert(sentences)
    assert inserted != SilenceInText(probability=0.25, seed=1).insert(sentences)
    assert SilenceInText(probability=0.0, at_ends=False).insert(sentences) == [("a", "b")] * 40
