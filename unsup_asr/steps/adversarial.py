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
from unsup_asr.steps.matching import write_segment_posteriors
from unsup_asr.types import Float32Array, Int32Array

log = logging.getLogger(__name__)


def run_gan(context: StageContext) -> None:
    """Play the game; keep the generator of the best unsupervised criterion, the start included.

    A generator that starts from matching reads the matched log posteriors of each segment beside
    its features; its first map passes them on, so that nothing is lost at the start.
    """
    options = context.config.gan
    trainer = instantiate(options.trainer)
    inventory = read_inventory(context.input("text").file("inventory.json"))
    sentences = read_phone_sentences(context.input("text").file("phones.txt"))
    text = [phone_ids([p for word in s for p in word], inventory) for s in sentences]
    inputs = {split: open_split(context, "units", "pooled", split) for split in SPLITS}
    first_map = None
    if options.start is not None:
        start = instantiate(options.start)
        layout = start.fit(inputs["train"].values_array, num_phones=len(inventory))
        first_map = layout.first_map
        table_KV = np.load(context.input("matching").file("table.npy"))
        for split, pooled in inputs.items():
            clusters = open_split(context, "units", "clusters", split)
            inputs[split] = RaggedArray.from_arrays(
                {i: layout.rows(pooled[i], table_KV[clusters[i]]) for i in pooled}
            )
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
            generator_init=first_map,
            progress=tick,
        )
    trained.save(context.out)
    history = {"chosen_update": trained.chosen_update, "history": trained.history}
    (context.out / "gan.json").write_text(json.dumps(history), "utf-8")
    posteriors = {
        split: {
            i: _one_a_segment(trained.posteriors(np.array(rows[i])), len(rows[i])) for i in rows
        }
        for split, rows in inputs.items()
    }
    write_segment_posteriors(context, posteriors)


def _one_a_segment(posteriors_TV: Float32Array, num_segments: int) -> Float32Array:
    """Posteriors (S, V); a generator with stride repeats its outputs."""
    repeats = -(-num_segments // len(posteriors_TV))
    return np.repeat(posteriors_TV, repeats, axis=0)[:num_segments]
