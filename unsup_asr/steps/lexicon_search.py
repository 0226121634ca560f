"""What realignment and the HMM share: frames to the best words of the text's lexicon."""

from __future__ import annotations

from itertools import chain, repeat

from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.phone_text import iter_phone_sentences, phone_ids
from unsup_asr.protocols import Aligner


def lexicon_tree(
    context: StageContext, aligner: Aligner, inventory: list[str], *, pause_share: float | None
) -> object:
    """The words of the text with their frequencies, as `aligner` searches them; beside them, where
    it is given, so large a share of pauses, whose phone has the number behind the inventory.
    """
    phones = context.input("text").file("phones.txt")
    ids = {
        word: tuple(phone_ids(word, inventory).tolist())
        for word in {word for sentence in iter_phone_sentences(phones) for word in sentence}
    }
    words = ([ids[word] for word in sentence] for sentence in iter_phone_sentences(phones))
    if pause_share is None:
        return aligner.tree(words, len(inventory))
    num_words = sum(len(sentence) for sentence in iter_phone_sentences(phones))
    num_pauses = round(pause_share / (1 - pause_share) * num_words)
    pauses = repeat([(len(inventory),)], num_pauses)
    return aligner.tree(chain(words, pauses), len(inventory) + 1)
