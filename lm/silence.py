"""Silence between words and at the ends of sentences of phones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

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
