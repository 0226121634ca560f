"""What stages read of other stages."""

from __future__ import annotations

from pathlib import Path

from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.ragged import RaggedArray
from unsup_asr.speech.timing import read_timing
from unsup_asr.types import FrameTiming


def open_split(context: StageContext, stage: str, name: str, split: str) -> RaggedArray:
    """The ragged array `name/split` of an input stage."""
    return RaggedArray.open(context.input(stage).file(f"{name}/{split}/values.npy").parent)


def frame_timing(context: StageContext) -> FrameTiming:
    """When the frames of stage `features` are, long silences included."""
    return read_timing(context.input("features").file("timing.json"))


def decoder_file(context: StageContext, name: str) -> Path:
    """Where a file that decoders read lies: an n-gram model, or the lexicon."""
    return context.input("language_model" if name.endswith(".arpa") else "text").file(name)
