"""Stages `text`, `language_model` and `word_model`: the unpaired text in phones, n-grams of it."""

from __future__ import annotations

from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.lines import read_lines
from unsup_asr.formats.phone_text import read_phone_sentences


def run_text(context: StageContext) -> None:
    """Normalise and phonemize the unpaired text."""
    front_end = instantiate(context.config.text.front_end)
    front_end.prepare(context.input("corpus").file("text.txt"), context.out)


def run_language_model(context: StageContext) -> None:
    """Estimate the n-gram model of the text's phones."""
    sentences = read_phone_sentences(context.input("text").file("phones.txt"))
    flat = ([phone for word in sentence for phone in word] for sentence in sentences)
    estimator = instantiate(context.config.language_model.estimator)
    estimator.estimate_to(context.out / "phones.arpa", flat)


def run_word_model(context: StageContext) -> None:
    """Estimate the n-gram model of the text's words."""
    words = (line.split() for line in read_lines(context.input("text").file("words.txt")))
    estimator = instantiate(context.config.language_model.word_estimator)
    estimator.estimate_to(context.out / "words.arpa", words)
