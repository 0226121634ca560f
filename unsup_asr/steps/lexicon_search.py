"""What realignment and the HMM share: frames to the best words of the text's lexicon."""

from __future__ import annotations

from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.phone_text import phone_ids, read_phone_sentences
from unsup_asr.protocols import Aligner


def lexicon_tree(context: StageContext, aligner: Aligner, inventory: list[str]) -> object:
    """The words of the text with their frequencies, as `aligner` searches them."""
    sentences = read_phone_sentences(context.input("text").file("phones.txt"))
    ids = {
        word: tuple(phone_ids(word, inventory).tolist())
        for word in {word for sentence in sentences for word in sentence}
    }
    words = ([ids[word] for word in sentence] for sentence in sentences)
    return aligner.tree(words, len(inventory))
