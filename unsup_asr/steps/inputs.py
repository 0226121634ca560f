"""What stages read of other stages."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.phone_text import (
    flat_phones,
    iter_phone_sentences,
    phone_ids,
    read_inventory,
)
from unsup_asr.formats.ragged import RaggedArray
from unsup_asr.speech.timing import read_timing
from unsup_asr.types import FrameTiming, Int32Array


def open_split(context: StageContext, stage: str, name: str, split: str) -> RaggedArray:
    """The ragged array `name/split` of an input stage."""
    return RaggedArray.open(context.input(stage).file(f"{name}/{split}/values.npy").parent)


def open_segments(context: StageContext, split: str) -> RaggedArray:
    """The row of each segment: pooled, or the frames as they are where each is a segment."""
    boundaries = open_split(context, "segments", "boundaries", split)
    pooled = f"pooled/{split}/values.npy"
    if "units" in context.artifacts and context.input("units").has(pooled):
        return open_split(context, "units", "pooled", split)
    frames = open_split(context, "features", "cluster", split)
    if not np.array_equal(boundaries.lengths, frames.lengths + 1):
        raise ValueError(
            "segmentation.pooling is null, and segments have more than one frame: give a pooling, "
            "or take every frame as a segment (segmentation=frames)"
        )
    return frames


def text_ids(context: StageContext) -> tuple[list[Int32Array], list[str]]:
    """Sentences of stage `text` as phone ids without word edges, and the inventory."""
    inventory = read_inventory(context.input("text").file("inventory.json"))
    sentences = iter_phone_sentences(context.input("text").file("phones.txt"))
    return [phone_ids(flat_phones(s), inventory) for s in sentences], inventory


def frame_timing(context: StageContext) -> FrameTiming:
    """When the frames of stage `features` are, long silences included."""
    return read_timing(context.input("features").file("timing.json"))


def decoder_file(context: StageContext, name: str) -> Path:
    """Where a file that decoders read lies: an n-gram model, or the lexicon."""
    stage = {"phones.arpa": "language_model", "words.arpa": "word_model"}.get(name, "text")
    return context.input(stage).file(name)
