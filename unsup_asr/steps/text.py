"""Stages `text`, `language_model` and `word_model`: the unpaired text in phones, n-grams of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.lines import read_lines
from unsup_asr.formats.phone_text import flat_phones, iter_phone_sentences


def run_text(context: StageContext) -> None:
    """Normalise and phonemize the unpaired text."""
    front_end = instantiate(context.config.text.front_end)
    front_end.prepare(context.input("corpus").file("text.txt"), context.out)


def run_language_model(context: StageContext) -> None:
    """Estimate the n-gram model of the text's phones."""
    estimator = instantiate(context.config.language_model.estimator)
    phones = context.input("text").file("phones.txt")
    estimate_phones(estimator, phones, context.out / "phones.arpa")


class Estimator(Protocol):
    """Makes an n-gram model of sentences, such as lm.ngram.NgramEstimator."""

    def estimate_to(self, path: Path, sentences: Iterable[Sequence[str]]) -> None:
        """Write an ARPA file."""
        ...


def estimate_phones(estimator: Estimator, phones: Path, out: Path) -> None:
    """Of the sentences of a file of phones, without its word edges."""
    estimator.estimate_to(out, map(flat_phones, iter_phone_sentences(phones)))


def run_word_model(context: StageContext) -> None:
    """Estimate the n-gram model of the text's words."""
    words = (line.split() for line in read_lines(context.input("text").file("words.txt")))
    estimator = instantiate(context.config.language_model.word_estimator)
    estimator.estimate_to(context.out / "words.arpa", words)
