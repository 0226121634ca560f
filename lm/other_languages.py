"""Telling a sentence of one language from those of named others, by how frequent its words are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import wordfreq

from unsup_asr.corpora.languages import wordfreq_code

_UNKNOWN = 1e-8  # frequency of a word that a language's list lacks; the lists end near 1e-6


class OtherLanguages:
    """Word frequencies of a language and of those to tell it from; ValueError without a list."""

    def __init__(self, language: str, others: Sequence[str]) -> None:
        self._own = _log_frequencies(language)
        self._others = [_log_frequencies(other) for other in others]

    def are_likelier(self, words: Sequence[str]) -> bool:
        """Whether the words, taken as independent, are more probable in one of the others."""
        own = _score(self._own, words)
        return any(_score(other, words) > own for other in self._others)


def _score(log_frequencies: dict[str, float], words: Sequence[str]) -> float:
    floor = math.log(_UNKNOWN)
    return sum(log_frequencies.get(word, floor) for word in words)


@lru_cache(maxsize=16)
def _log_frequencies(language: str) -> dict[str, float]:
    code = wordfreq_code(language)
    if code is None:
        raise ValueError(
            f"no word frequencies for language {language!r}, so lines of other languages cannot be "
            f"told from it. There are some for: {', '.join(sorted(wordfreq.available_languages()))}"
        )
    return {word: math.log(share) for word, share in wordfreq.get_frequency_dict(code).items()}
