"""References, for the stages that may read them, in the phones of the text: folded as it is, its
rare phones merged as they are there.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.hypotheses import read_transcripts, read_words
from unsup_asr.formats.lines import read_lines
from unsup_asr.formats.phone_text import (
    Phones,
    phone_ids,
    read_inventory,
    read_merged_phones,
)
from unsup_asr.protocols import TextFrontEnd
from unsup_asr.types import Int32Array, Transcript

log = logging.getLogger(__name__)

# Share of the references' phones, above which they are taken for something else, and the same
# where the text has so few distinct words that it lacks phones of its own language.
MOST_UNKNOWN, MOST_UNKNOWN_OF_FEW = 0.05, 0.5
FEW_WORDS = 100

REMEDY = {
    True: "Are they words of the text's language? If they are phones, say so "
    "(corpus.reference_kind=phones)",
    False: "If they are words, say so (corpus.reference_kind=words); if they name phones "
    "otherwise, fold them (text.front_end.fold)",
}


def read_references(context: StageContext, split: str) -> list[Transcript]:
    """Phones of a split: given as phones, or as words that the text's front end phonemizes.

    ValueError where they are not phones of the text.
    """
    inventory = context.input("text").file("inventory.json")
    given = context.input("references")
    kind = f"{split}.tsv" if given.has(f"references/{split}.tsv") else f"{split}.words.tsv"
    references = references_in(
        given.file(f"references/{kind}"),
        instantiate(context.config.text.front_end),
        read_merged_phones(inventory),
    )
    check_known(
        references,
        read_inventory(inventory),
        num_words=sum(1 for _ in read_lines(context.input("text").file("lexicon.tsv"))),
        are_words=kind.endswith(".words.tsv"),
    )
    return references


def references_in(
    path: Path, front_end: TextFrontEnd, merged: Mapping[str, Phones]
) -> list[Transcript]:
    """References of a file, of phones or (`.words.tsv`) words, with what stands in the text for
    its rare phones.
    """
    if path.name.endswith(".words.tsv"):
        phones = front_end.phonemize_references(read_words(path))
        references = [Transcript(utterance_id, said) for utterance_id, said in phones.items()]
    else:
        references = [
            replace(reference, phones=front_end.fold_phones(reference.phones))
            for reference in read_transcripts(path)
        ]
    return [_with_merged(reference, merged) for reference in references]


def unknown_share(references: Sequence[Transcript], known: Collection[str]) -> float:
    """Share of the references' phones that are not among the known ones."""
    counts = Counter(phone for reference in references for phone in reference.phones)
    return sum(n for phone, n in counts.items() if phone not in known) / max(1, counts.total())


def check_known(
    references: Sequence[Transcript], known: Collection[str], *, num_words: int, are_words: bool
) -> None:
    """ValueError where so many phones are unknown to the text that these are no references.

    `num_words`: distinct ones of the text; `are_words`: the references were given as words.
    """
    share = unknown_share(references, known)
    most = MOST_UNKNOWN if num_words >= FEW_WORDS else MOST_UNKNOWN_OF_FEW
    if share <= most:
        return
    counts = Counter(phone for reference in references for phone in reference.phones)
    strange = [phone for phone, _ in counts.most_common() if phone not in known]
    raise ValueError(
        f"{100 * share:.0f} % of the phones of the references are none of the text's, such as "
        f"{' '.join(strange[:8])} (the text has {' '.join(sorted(known))}); expected at most "
        f"{100 * most:.0f} %. {REMEDY[are_words]}"
    )


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
        log.warning(
            "left out %d reference phones that the text's inventory lacks: nothing can write them. "
            "If they are many, give text that has them, or fold them (text.front_end.fold)",
            num_unknown,
        )
    return targets


def _with_merged(reference: Transcript, merged: Mapping[str, Phones]) -> Transcript:
    """Rare phones replaced; phones that stand for one share its time equally."""
    if not any(phone in merged for phone in reference.phones):
        return reference
    stand_ins = [merged.get(phone, (phone,)) for phone in reference.phones]
    phones = tuple(phone for of_one in stand_ins for phone in of_one)
    if not reference.starts_s:
        return replace(reference, phones=phones)
    spans = [
        (float(start), float(end))
        for of_one, first, last in zip(stand_ins, reference.starts_s, reference.ends_s, strict=True)
        for start, end in pairwise(np.linspace(first, last, len(of_one) + 1))
    ]
    starts_s, ends_s = zip(*spans, strict=True)
    return Transcript(reference.utterance_id, phones, starts_s, ends_s)
