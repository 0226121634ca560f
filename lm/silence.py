"""Silence between words and at the ends of sentences of phones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unsup_asr.ranges import Fraction, Seed

SILENCE = "<SIL>"


def insert_silence(
    sentence: Sequence[Sequence[str]],
    *,
    probability: float,
    at_ends: bool,
    generator: np.random.Generator,
    silence: str = SILENCE,
) -> tuple[str, ...]:
    """Phones of one sentence given as phones of words, silence between words at random.

    Each place between two words with phones gets one with `probability`, independently;
    `at_ends` puts one first and last. Baevski et al. 2021: 0.25, at the ends.
    """
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"silence probability is {probability}; expected 0 to 1")
    words = [word for word in sentence if word]
    if not words:
        return ()
    pauses = generator.random(len(words) - 1) < probability
    phones: list[str] = [silence] if at_ends else []
    phones.extend(words[0])
    for word, pause in zip(words[1:], pauses, strict=True):
        if pause:
            phones.append(silence)
        phones.extend(word)
    if at_ends:
        phones.append(silence)
    return tuple(phones)


def insert_silences(
    sentences: Sequence[Sequence[Sequence[str]]],
    *,
    probability: float,
    at_ends: bool,
    generator: np.random.Generator,
    silence: str = SILENCE,
) -> list[tuple[str, ...]]:
    """`insert_silence` on each sentence in turn; one result a sentence."""
    return [
        insert_silence(
            sentence,
            probability=probability,
            at_ends=at_ends,
            generator=generator,
            silence=silence,
        )
        for sentence in sentences
    ]


@dataclass(frozen=True, kw_only=True)
class SilenceInText:
    """The text of wav2vec-U's game: what it hears pauses, so what it reads must (Baevski et al.
    2021: 0.25 between words and at the ends; Liu et al. 2022: 0.5).

    Pauses are drawn once, with `seed`, for all of the game.
    """

    probability: Fraction = 0.25
    at_ends: bool = True
    seed: Seed = 0

    def insert(self, sentences: Sequence[Sequence[Sequence[str]]]) -> list[tuple[str, ...]]:
        """Phones and silences of each sentence of words of phones."""
        return insert_silences(
            sentences,
            probability=self.probability,
            at_ends=self.at_ends,
            generator=np.random.default_rng(self.seed),
        )
