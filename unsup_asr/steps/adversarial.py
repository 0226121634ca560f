"""Stage `gan`: the adversarial game, started from the matched table or from nothing."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from typing import Any

import numpy as np
from omegaconf import DictConfig

from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.checked import read_array
from unsup_asr.formats.phone_text import phone_ids, read_inventory, read_phone_sentences
from unsup_asr.formats.ragged import RaggedArray, RaggedWriter
from unsup_asr.progress import progress_bar
from unsup_asr.protocols import LanguageModelScorer, Pooling
from unsup_asr.scoring.criterion import weighted_perplexity
from unsup_asr.steps.computed import Computed
from unsup_asr.steps.inputs import open_segments, open_split, text_ids
from unsup_asr.steps.segment_output import (
    phones_of,
    write_segment_hypotheses,
    write_segment_posteriors,
)
from unsup_asr.types import SILENCES, SPLITS, Float32Array, Int32Array

log = logging.getLogger(__name__)

_SCRATCH = "scratch"


def run_gan(context: StageContext) -> None:
    """Play the game with all members; keep the one that the population's rule takes.

    Of each member the generator of the best unsupervised criterion stays, the start included.
    """
    options = context.config.gan
    trainer = instantiate(options.trainer)
    population = instantiate(options.population)
    inventory = read_inventory(context.input("text").file("inventory.json"))
    text, num_outputs = _game_text(context, options)
    inputs, first_map = _generator_inputs(context, options)
    scorer: LanguageModelScorer = instantiate(context.config.language_model.scorer)
    arpa = context.input("language_model").file("phones.arpa")

    def validate(sequences: Sequence[Int32Array]) -> dict[str, float]:
        spoken = (phones_of(ids, inventory) for ids in sequences)
        named = [[inventory[p] for p in ids] for ids in spoken if len(ids)]
        perplexity = scorer.perplexity(arpa, named) if named else float("inf")
        weighted = weighted_perplexity(perplexity, named, num_phones=len(inventory))
        return {"lm_perplexity": perplexity, "weighted_lm_perplexity": weighted}

    with progress_bar(trainer.updates, "gan") as tick:
        members = population.player(trainer)(
            _training_segments(context, options, inputs["train"]),
            text,
            num_phones=num_outputs,
            validate=validate,
            checkpoint_dir=context.out / "checkpoint",
            validation_segments=inputs[options.validate_on],
            generator_init=first_map,
            auxiliary_classes=_auxiliary_classes(context),
            progress=tick,
        )
    wrote = [
        [phones_of(ids, inventory) for ids in member.transcribe(inputs["train"])]
        for member in members
    ]
    criteria = [validate(transcripts) for transcripts in wrote]
    choices = population.choices(
        wrote, [c["lm_perplexity"] for c in criteria], vocabulary_size=len(inventory)
    )
    chosen = choices[population.rule]
    for number, transcripts in enumerate(wrote):
        with RaggedWriter(context.out / "wrote" / str(number), dtype="int32") as writer:
            for utterance_id, phones in zip(inputs["train"].ids, transcripts, strict=True):
                writer.append(utterance_id, phones)
    report = {
        "differences": population.differences(trainer),
        "members": [
            {
                **numbers,
                "chosen_update": member.chosen_update,
                "stopped_at": member.stopped_at,
                "history": member.history,
            }
            for numbers, member in zip(criteria, members, strict=True)
        ],
        "choices": choices,
        "rule": population.rule,
        "chosen": chosen,
        "validate_every": trainer.validate_every,
    }
    (context.out / "gan.json").write_text(json.dumps(report), "utf-8")
    members[chosen].save(context.out)
    if (stride := options.get("decode_stride")) is not None:
        members = [member.at_stride(stride) for member in members]
    if len(members) > 1:
        for number, member in enumerate(members):
            heard = of_segments(member, inputs["test"])
            phones = {i: p.argmax(axis=1).astype(np.int32) for i, p in heard.items()}
            write_segment_hypotheses(context, "test", phones, inventory, folder=f"members/{number}")
    write_segment_posteriors(
        context, {split: of_segments(members[chosen], rows) for split, rows in inputs.items()}
    )
    if options.get("decode_unjoined") and context.input("segments").has("runs/test/values.npy"):
        _write_unjoined(context, members[chosen])
    if (context.out / _SCRATCH).exists():
        shutil.rmtree(context.out / _SCRATCH)


def _write_unjoined(context: StageContext, generator: Any) -> None:
    """`unjoined/test`: posteriors of the segments before neighbours were joined, twice as many,
    which wav2vec-U decodes with a language model (Baevski et al. 2021, as fairseq has it).
    """
    pooling: Pooling = instantiate(context.config.segmentation.pooling)
    features = open_split(context, "features", "cluster", "test")
    runs = open_split(context, "segments", "runs", "test")
    with RaggedWriter(context.out / "unjoined" / "test") as writer:
        for i in runs:
            rows_SD = pooling.pool(np.array(features[i], np.float32), np.array(runs[i]))
            writer.append(i, generator.posteriors(rows_SD)[: len(rows_SD)])


def _game_text(context: StageContext, options: DictConfig) -> tuple[list[Int32Array], int]:
    """Sentences of phone ids, and how many ids there are: of phones, and one past them of silence
    where the game's text has any.
    """
    if options.get("text_silence") is None:
        text, inventory = text_ids(context)
        return text, len(inventory)
    if options.start is not None:
        raise ValueError(
            "gan.text_silence and gan.start are both given; what matching has found knows no "
            "silence to start from: set one of them to null"
        )
    inventory = read_inventory(context.input("text").file("inventory.json"))
    sentences = read_phone_sentences(context.input("text").file("phones.txt"))
    known = {phone for sentence in sentences for word in sentence for phone in word}
    silenced = instantiate(options.text_silence).insert(sentences)
    silence = {phone for sentence in silenced for phone in sentence} - known
    if known & SILENCES:
        raise ValueError(
            f"the text has {' '.join(sorted(known & SILENCES))} among its phones already, and "
            "gan.text_silence adds silence: set it to null"
        )
    columns = [*inventory, *silence]
    return [phone_ids(sentence, columns) for sentence in silenced], len(columns)


def _generator_inputs(
    context: StageContext, options: DictConfig
) -> tuple[dict[str, RaggedArray], Float32Array | None]:
    """What the generator reads of each segment, by split, and the map it starts from."""
    if options.get("frames") is not None:
        if options.start is not None:
            raise ValueError(
                "gan.frames and gan.start are both given; frames have no clusters to start from: "
                "set one of them to null"
            )
        return {split: _frames(context, options, split, count=1) for split in SPLITS}, None
    pooled = {split: open_segments(context, split) for split in SPLITS}
    if options.start is None:
        return pooled, None
    table_KV = read_array(context.input("matching").file("table.npy"))
    layout = instantiate(options.start).fit(pooled["train"].values_array, table_KV)
    inputs = {}
    for split, features in pooled.items():
        clusters = open_split(context, "units", "clusters", split)
        folder = context.out / _SCRATCH / split
        with RaggedWriter(folder) as writer:
            for i in features:
                writer.append(i, layout.rows(features[i], clusters[i]))
        inputs[split] = RaggedArray.open(folder)
    return inputs, layout.first_map


def _training_segments(
    context: StageContext, options: DictConfig, segments: RaggedArray
) -> RaggedArray:
    """The training segments as the trainer reads them: with several frames each, if it draws."""
    count = instantiate(options.trainer).frames_per_segment
    if count == 1:
        return segments
    if options.get("frames") is None:
        raise ValueError(
            f"gan.trainer.frames_per_segment is {count}, and segments are pooled into one row: set "
            "gan.frames, as gan=yeh2019 does, or frames_per_segment to 1"
        )
    return _frames(context, options, "train", count=count)


def _frames(context: StageContext, options: DictConfig, split: str, *, count: int) -> RaggedArray:
    """`count` spliced frames of each segment, on disk: they take several times the features."""
    layout = instantiate(options.frames)
    features = open_split(context, "features", "acoustic", split)
    edges = open_split(context, "segments", "boundaries", split)
    folder = context.out / _SCRATCH / f"{split}_{count}"
    with RaggedWriter(folder) as writer:
        for i in edges:
            writer.append(i, layout.rows(np.array(features[i]), np.array(edges[i]), count=count))
    return RaggedArray.open(folder)


def _auxiliary_classes(context: StageContext) -> RaggedArray | None:
    """Acoustic cluster of the first frame of each training segment (Liu et al. 2022)."""
    if "auxiliary" not in context.artifacts:
        return None
    targets = open_split(context, "auxiliary", "targets", "train")
    edges = open_split(context, "segments", "boundaries", "train")
    return RaggedArray.from_arrays({i: np.array(targets[i])[edges[i][:-1]] for i in edges})


def of_segments(generator: Any, rows: RaggedArray) -> Computed[Float32Array]:
    """Posteriors (S, V) of each utterance; a generator with stride repeats its outputs."""

    def posteriors(utterance_id: str) -> Float32Array:
        rows_SD = np.array(rows[utterance_id])
        found_TV = generator.posteriors(rows_SD)
        return np.repeat(found_TV, generator.stride, axis=0)[: len(rows_SD)]

    return Computed(rows.ids, posteriors)
