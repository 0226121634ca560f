"""Words out of letters."""

from __future__ import annotations

import numpy as np
import pytest

from lm.spelling import SpellingDecoder

LETTERS = ["<blank>", "a", "n", "o", "|"]


def posteriors(letters: str) -> np.ndarray:
    """Of one letter a frame, `.` for the blank."""
    scores_TV = np.full((len(letters), len(LETTERS)), -9.0, dtype=np.float32)
    for frame, letter in enumerate(letters):
        scores_TV[frame, 0 if letter == "." else LETTERS.index(letter)] = 0.0
    return scores_TV


def decode(letters: str):
    decoder = SpellingDecoder(blank="<blank>")
    ((sentence,),) = decoder.decode_batch([posteriors(letters)], LETTERS)
    return sentence


def test_words_lie_between_boundaries_and_begin_where_their_letters_do() -> None:
    sentence = decode(".aan.n|.|no")
    assert [word.word for word in sentence.words] == ["ann", "no"]
    assert [word.start_frames for word in sentence.words] == [(1, 3, 5), (9, 10)]
    assert sentence.phones == ("a", "n", "n", "|", "|", "n", "o")
    assert sentence.start_frames == (1, 3, 5, 6, 8, 9, 10)


@pytest.mark.parametrize("letters", ["....", "||", ".|."])
def test_no_letter_is_no_word(letters: str) -> None:
    assert decode(letters).words == ()


def test_letters_without_a_boundary_are_refused() -> None:
    decoder = SpellingDecoder(boundary="_", blank="<blank>")
    with pytest.raises(ValueError, match="boundary '_' is not among the letters: <blank>, a, n"):
        decoder.decode_batch([posteriors("a")], LETTERS)
