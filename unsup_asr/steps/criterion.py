"""The unsupervised criterion of a system: how much its output reads like the text."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from unsup_asr.engine.artifacts import Artifact
from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.checked import read_json_value
from unsup_asr.formats.phone_text import flat_phones, read_inventory, read_phone_sentences
from unsup_asr.protocols import LanguageModelScorer
from unsup_asr.scoring.criterion import weighted_perplexity

_MEASURED_SENTENCES = 5000  # of the text


def run_criterion(context: StageContext, sequences: Sequence[Sequence[str]]) -> float:
    """Write `criterion.json`: perplexity, phones used, weighted perplexity."""
    inventory = read_inventory(context.input("text").file("inventory.json"))
    scorer: LanguageModelScorer = instantiate(context.config.language_model.scorer)
    arpa = context.input("language_model").file("phones.arpa")
    spoken = [s for s in sequences if s]
    perplexity = scorer.perplexity(arpa, spoken) if spoken else float("inf")
    weighted = weighted_perplexity(perplexity, spoken, num_phones=len(inventory))
    num_used = len({phone for sequence in spoken for phone in sequence})
    found = {
        "perplexity": perplexity,
        "phones_used": num_used,
        "num_phones": len(inventory),
        "weighted": weighted,
        "mean_length": float(np.mean([len(s) for s in sequences])),
    }
    (context.out / "criterion.json").write_text(json.dumps(found, indent=1), "utf-8")
    return weighted


def read_criterion(artifact: Artifact) -> float:
    """The weighted perplexity of a system's unconstrained output."""
    return float(read_json_value(artifact.file("criterion.json"))["weighted"])


def measured_text(context: StageContext) -> list[list[str]]:
    """Phones of the text's first sentences, enough to compare an output with."""
    text = read_phone_sentences(context.input("text").file("phones.txt"))[:_MEASURED_SENTENCES]
    return [flat_phones(sentence) for sentence in text]


def text_perplexity(context: StageContext) -> float:
    """Of the measured text under the model of the whole text: what to compare with."""
    scorer: LanguageModelScorer = instantiate(context.config.language_model.scorer)
    arpa = context.input("language_model").file("phones.arpa")
    return scorer.perplexity(arpa, measured_text(context))
