"""References, for the two stages that may read them. They are folded as the text is."""

from __future__ import annotations

from dataclasses import replace

from unsup_asr.config import instantiate
from unsup_asr.stages import StageContext
from unsup_asr.transcripts import read_transcripts, read_words
from unsup_asr.types import Transcript


def read_references(context: StageContext, split: str) -> list[Transcript]:
    """Phones of a split: given as phones, or as words that the text's front end phonemizes."""
    front_end = instantiate(context.config.text.front_end)
    corpus = context.input("corpus")
    if corpus.has(f"references/{split}.tsv"):
        return [
            replace(reference, phones=front_end.fold_phones(reference.phones))
            for reference in read_transcripts(corpus.file(f"references/{split}.tsv"))
        ]
    words = read_words(corpus.file(f"references/{split}.words.tsv"))
    phones = front_end.phonemize_references(words)
    return [Transcript(utterance_id, phones[utterance_id]) for utterance_id in words]
