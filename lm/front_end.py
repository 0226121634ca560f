"""Text to phones, for the unpaired text and for references given as words: one front end for both.

`prepare` writes into its folder: `phones.txt` (one sentence a line, `|` between words), `words.txt`
(the same lines as words), `inventory.json`, `lexicon.tsv` and `counts.json` (what was dropped, and
why).
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lm.inventory import count_inventory
from lm.lexicon import Lexicon
from lm.normalize import TextNormalizer
from lm.phonemize import EspeakPhonemizer
from unsup_asr.phone_text import write_phone_sentences

logger = logging.getLogger(__name__)
Phones = tuple[str, ...]

# Phones that espeak-ng writes apart where speakers do not keep them apart: reduced vowels.
FOLDS = {"en": {"ᵻ": "ɪ", "ɐ": "ə"}}


@dataclass(kw_only=True)
class EspeakFrontEnd:
    """espeak-ng phones of a language; `fold` maps phones to others, on text and references alike
    (None: what FOLDS has for the language, {}: nothing).

    Phones rarer than `min_phone_count` are treated by the rule `rare` (merge, drop or keep).
    """

    language: str = "en-us"
    fold: dict[str, str] | None = None
    min_phone_count: int = 20
    rare: str = "merge"

    def __post_init__(self) -> None:
        if self.fold is None:
            self.fold = FOLDS.get(self.language.partition("-")[0], {})

    def prepare(self, text: Path, out: Path) -> None:
        """Normalise and phonemize the lines of `text`; ValueError when nothing is left."""
        normalizer = TextNormalizer(language=self.language)
        lines, dropped = normalizer.normalize_lines(
            text.read_text("utf-8").splitlines(), source=str(text)
        )
        phonemized = EspeakPhonemizer(language=self.language).phonemize_text(lines)
        sentences = [[self.fold_phones(word) for word in line] for line in phonemized.phones]
        inventory = count_inventory(
            ([p for word in sentence for p in word] for sentence in sentences),
            min_count=self.min_phone_count,
            rare=self.rare,
        )
        kept: list[list[Phones]] = []
        kept_words: list[str] = []
        for names, sentence in zip(phonemized.words, sentences, strict=True):
            said = [(n, inventory.apply(p)) for n, p in zip(names, sentence, strict=True) if p]
            if said and all(phones is not None for _, phones in said):
                kept.append([phones for _, phones in said if phones])
                kept_words.append(" ".join(name for name, phones in said if phones))
        pronunciations: dict[str, Counter[Phones]] = {}
        for word, counts in phonemized.pronunciation_counts.items():
            for phones, count in counts.items():
                replaced = inventory.apply(self.fold_phones(phones))
                if replaced:
                    pronunciations.setdefault(word, Counter())[replaced] += count
        write_phone_sentences(out / "phones.txt", kept)
        (out / "words.txt").write_text("\n".join(kept_words) + "\n", "utf-8")
        (out / "inventory.json").write_text(
            json.dumps({"phones": list(inventory.phones)}, ensure_ascii=False, indent=1), "utf-8"
        )
        Lexicon.from_counts(pronunciations).write(out / "lexicon.tsv")
        counts_of = {
            "lines": asdict(dropped),
            "phonemized": asdict(phonemized.counts),
            "sentences_kept": len(kept),
            "failed_words": phonemized.failed_words,
            "merged_phones": {p: list(q) for p, q in inventory.merged.items()},
            "dropped_phones": inventory.dropped,
        }
        (out / "counts.json").write_text(
            json.dumps(counts_of, ensure_ascii=False, indent=1), "utf-8"
        )

    def normalize_words(self, words: Sequence[str]) -> tuple[str, ...]:
        """Words as they stand in the text that `prepare` wrote: lower case, no punctuation."""
        return tuple(TextNormalizer(language=self.language).normalize_line(" ".join(words)).split())

    def phonemize_references(self, words: Mapping[str, Sequence[str]]) -> dict[str, Phones]:
        """Phones of each utterance's words, said in their sentence and folded as the text is."""
        normalizer = TextNormalizer(language=self.language)
        lines = [normalizer.normalize_line(" ".join(spoken)) for spoken in words.values()]
        phonemized = EspeakPhonemizer(language=self.language).phonemize_sentences(lines)
        return {
            utterance_id: self.fold_phones([p for word in line for p in word])
            for utterance_id, line in zip(words, phonemized, strict=True)
        }

    def fold_phones(self, phones: Sequence[str]) -> Phones:
        """The phones with the recipe's fold applied."""
        fold = self.fold or {}
        return tuple(fold.get(phone, phone) for phone in phones)
