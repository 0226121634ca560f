"""What stages read of other stages."""

from __future__ import annotations

from pathlib import Path

from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.ragged import RaggedArray


def open_split(context: StageContext, stage: str, name: str, split: str) -> RaggedArray:
    """The ragged array `name/split` of an input stage."""
    return RaggedArray.open(context.input(stage).file(f"{name}/{split}/values.npy").parent)


def decoder_file(context: StageContext, name: str) -> Path:
    """Where a file that decoders read lies: an n-gram model, or the lexicon."""
    return context.input("language_model" if name.endswith(".arpa") else "text").file(name)
