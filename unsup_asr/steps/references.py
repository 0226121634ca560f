"""References, for the stages that may read them. They are folded as the text is."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.hypotheses import read_transcripts, read_words
from unsup_asr.formats.phone_text import phone_ids
from unsup_asr.types import Int32Array, Transcript

log = logging.getLogger(__name__)


def read_references(context: StageContext, split: str) -> list[Transcript]:
    """Phones of a split: given as phones, or as words that the text's front end phonemizes."""
    front_end = instantiate(context.config.text.front_end)
    given = context.input("references")
    if given.has(f"references/{split}.tsv"):
        return [
            replace(reference, phones=front_end.fold_phones(reference.phones))
            for reference in read_transcripts(given.file(f"references/{split}.tsv"))
        ]
    words = read_words(given.file(f"references/{split}.words.tsv"))
    phones = front_end.phonemize_references(words)
    return [Transcript(utterance_id, phones[utterance_id]) for utterance_id in words]


def training_targets(context: StageContext, inventory: Sequence[str]) -> dict[str, Int32Array]:
    """Phone ids of the training references; phones that the inventory lacks are left out."""
    known = set(inventory)
    targets: dict[str, Int32Array] = {}
    num_unknown = 0
    for reference in read_references(context, "train"):
        phones = [phone for phone in reference.phones if phone in known]
        num_unknown += len(reference.phones) - len(phones)
        targets[reference.utterance_id] = phone_ids(phones, inventory)
    if num_unknown:
        log.warning("left out %d reference phones that the text's inventory lacks", num_unknown)
    return targets
