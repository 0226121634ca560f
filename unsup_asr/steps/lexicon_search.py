"""What realignment and the HMM share: frames to the best words of the text's lexicon."""

from __future__ import annotations

from collections.abc import Mapping

from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.phone_text import phone_ids, read_phone_sentences
from unsup_asr.progress import progress_bar
from unsup_asr.protocols import Aligner, FrameAlignment
from unsup_asr.types import Float32Array


def lexicon_tree(context: StageContext, aligner: Aligner, inventory: list[str]) -> object:
    """The words of the text with their frequencies, as `aligner` searches them."""
    sentences = read_phone_sentences(context.input("text").file("phones.txt"))
    ids = {
        word: tuple(phone_ids(word, inventory).tolist())
        for word in {word for sentence in sentences for word in sentence}
    }
    words = ([ids[word] for word in sentence] for sentence in sentences)
    return aligner.tree(words, len(inventory))


def align_words(
    aligner: Aligner,
    tree: object,
    scores: Mapping[str, Float32Array],
    *,
    num_threads: int,
    title: str,
) -> Mapping[str, FrameAlignment]:
    """The best word sequence of each utterance's scores (T, V), under a progress bar."""
    with progress_bar(len(scores), title) as tick:
        return aligner.decode(tree, scores, num_threads=num_threads, progress=tick)
