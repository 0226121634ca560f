"""What realignment and the HMM share: frames to the best words of the text's lexicon."""

from __future__ import annotations

from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.phone_text import iter_phone_sentences, phone_ids
from unsup_asr.protocols import Aligner


def lexicon_tree(context: StageContext, aligner: Aligner, inventory: list[str]) -> object:
    """The words of the text with their frequencies, as `aligner` searches them."""
    phones = context.input("text").file("phones.txt")
    ids = {
        word: tuple(phone_ids(word, inventory).tolist())
        for word in {word for sentence in iter_phone_sentences(phones) for word in sentence}
    }
    words = ([ids[word] for word in sentence] for sentence in iter_phone_sentences(phones))
    return aligner.tree(words, len(inventory))
