"""The unsupervised criterion of a system: how much its output reads like the text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice

import numpy as np

from unsup_asr.engine.artifacts import Artifact
from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.checked import read_json_value
from unsup_asr.formats.phone_text import flat_phones, iter_phone_sentences, read_inventory
from unsup_asr.protocols import LanguageModelScorer
from unsup_asr.scoring.criterion import weighted_perplexity, with_what_is_missing
from unsup_asr.scoring.signs import divergences

_MEASURED_SENTENCES = 5000  # of the text
_LEAST_HELD_OUT = 500  # phones


def run_criterion(
    context: StageContext,
    sequences: Sequence[Sequence[str]],
    *,
    held_out: Sequence[Sequence[str]] = (),
) -> float:
    """Write `criterion.json`: perplexity, phones used, weighted perplexity, and the same with what
    is missing of the length of the text's sentences.

    `held_out`: output for speakers that the system has not been trained on; bits between its
    bigrams and the text's, where there is enough of it.
    """
    inventory = read_inventory(context.input("text").file("inventory.json"))
    scorer: LanguageModelScorer = instantiate(context.config.language_model.scorer)
    arpa = context.input("language_model").file("phones.arpa")
    spoken = [s for s in sequences if s]
    perplexity = scorer.perplexity(arpa, spoken) if spoken else float("inf")
    weighted = weighted_perplexity(perplexity, spoken, num_phones=len(inventory))
    num_used = len({phone for sequence in spoken for phone in sequence})
    mean_length = float(np.mean([len(s) for s in sequences]))
    of_length = with_what_is_missing(
        weighted,
        mean_length=mean_length,
        wanted=float(np.mean([len(sentence) for sentence in measured_text(context)])),
        num_phones=len(inventory),
    )
    found = {
        "perplexity": perplexity,
        "phones_used": num_used,
        "num_phones": len(inventory),
        "weighted": weighted,
        "with_what_is_missing": of_length,
        "mean_length": mean_length,
        "held_out_divergence": None,
    }
    if sum(map(len, held_out)) >= _LEAST_HELD_OUT:
        bits = divergences(measured_text(context), held_out, orders=(2,))
        found["held_out_divergence"] = bits.get(2)
    (context.out / "criterion.json").write_text(json.dumps(found, indent=1), "utf-8")
    return weighted


def read_criterion(artifact: Artifact) -> float:
    """The weighted perplexity of a system's unconstrained output."""
    return float(read_json_value(artifact.file("criterion.json"))["weighted"])


def read_criterion_of_length(artifact: Artifact) -> float:
    """The same with what is missing: of rounds, which learn to leave out."""
    return float(read_json_value(artifact.file("criterion.json"))["with_what_is_missing"])


def read_held_out_divergence(artifact: Artifact) -> float | None:
    """Of the system's output for speakers that it was not trained on; None for too little of it."""
    return read_json_value(artifact.file("criterion.json")).get("held_out_divergence")


def measured_text(context: StageContext) -> list[list[str]]:
    """Phones of the text's first sentences, enough to compare an output with."""
    text = iter_phone_sentences(context.input("text").file("phones.txt"))
    return [flat_phones(sentence) for sentence in islice(text, _MEASURED_SENTENCES)]


def text_perplexity(context: StageContext) -> float:
    """Of the measured text under the model of the whole text: what to compare with."""
    scorer: LanguageModelScorer = instantiate(context.config.language_model.scorer)
    arpa = context.input("language_model").file("phones.arpa")
    return scorer.perplexity(arpa, measured_text(context))
