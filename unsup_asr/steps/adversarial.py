"""Stage `gan`: the adversarial game, started from the matched table or from nothing."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

import numpy as np

from unsup_asr.config import instantiate
from unsup_asr.criterion import weighted_perplexity
from unsup_asr.phone_text import phone_ids, read_inventory, read_phone_sentences
from unsup_asr.progress import progress_bar
from unsup_asr.protocols import LanguageModelScorer
from unsup_asr.ragged import RaggedArray
from unsup_asr.stages import StageContext
from unsup_asr.steps.data import SPLITS, open_split
from unsup_asr.steps.matching import write_phones_of_segments
from unsup_asr.types import Float32Array, Int32Array

log = logging.getLogger(__name__)

_TABLE_FLOOR = 1e-4  # a probability of 0 would be a weight of minus infinity


def run_gan(context: StageContext) -> None:
    """Play the game; keep the generator of the best unsupervised criterion, the start included.

    A generator that starts from matching reads, for each segment, its cluster as one-hot beside
    its features: its first linear map is then the logarithm of the matched table, exactly.
    """
    options = context.config.gan
    trainer = instantiate(options.trainer)
    inventory = read_inventory(context.input("text").file("inventory.json"))
    sentences = read_phone_sentences(context.input("text").file("phones.txt"))
    text = [phone_ids([p for word in s for p in word], inventory) for s in sentences]
    start = None
    if options.start == "matching":
        table_KV = np.load(context.input("matching").file("table.npy"))
        start = np.log(table_KV + _TABLE_FLOOR)
        features = open_split(context, "units", "pooled", "train")
        padding = np.zeros((features.values_array.shape[1], len(inventory)))
        start = np.concatenate([start, padding]).astype(np.float32)
    inputs = {
        split: _generator_input(context, split, start is not None, options.feature_scale)
        for split in SPLITS
    }
    scorer: LanguageModelScorer = instantiate(context.config.language_model.scorer)
    arpa = context.input("language_model").file("phones.arpa")

    def validate(sequences: Sequence[Int32Array]) -> dict[str, float]:
        named = [[inventory[p] for p in ids] for ids in sequences if len(ids)]
        perplexity = scorer.perplexity(arpa, named) if named else float("inf")
        weighted = weighted_perplexity(perplexity, named, num_phones=len(inventory))
        return {"lm_perplexity": perplexity, "weighted_lm_perplexity": weighted}

    with progress_bar(trainer.updates, "gan") as tick:
        trained = trainer.train(
            inputs["train"],
            text,
            num_phones=len(inventory),
            validate=validate,
            checkpoint_dir=context.out / "checkpoint",
            generator_init=start,
            progress=tick,
        )
    trained.save(context.out)
    history = {"chosen_update": trained.chosen_update, "history": trained.history}
    (context.out / "gan.json").write_text(json.dumps(history), "utf-8")
    phones = {
        split: {
            i: _one_a_segment(trained.posteriors(np.array(rows[i])), len(rows[i])) for i in rows
        }
        for split, rows in inputs.items()
    }
    write_phones_of_segments(context, phones)


def _generator_input(
    context: StageContext, split: str, with_clusters: bool, scale: float
) -> RaggedArray:
    pooled = open_split(context, "units", "pooled", split)
    if not with_clusters:
        return pooled
    clusters = open_split(context, "units", "clusters", split)
    num_clusters = len(np.load(context.input("units").file("centroids.npy"), mmap_mode="r"))
    one_hot = np.eye(num_clusters, dtype=np.float32)
    return RaggedArray.from_arrays(
        {i: np.concatenate([one_hot[clusters[i]], scale * pooled[i]], axis=1) for i in pooled}
    )


def _one_a_segment(posteriors_SV: Float32Array, num_segments: int) -> Int32Array:
    """Best phone of each segment; a generator with stride repeats its outputs."""
    best = posteriors_SV.argmax(axis=1).astype(np.int32)
    repeats = -(-num_segments // len(best))
    return np.repeat(best, repeats)[:num_segments]
