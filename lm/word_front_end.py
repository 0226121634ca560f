"""Text to phones word by word: what front ends share that say a word alike in every sentence.

It writes what `EspeakFrontEnd` writes. A front end says how words are pronounced and what to tell
whoever has words that it cannot say.
"""

from __future__ import annotations

import json
import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile

from lm.inventory import PhoneInventory, choose_inventory
from lm.lexicon import Lexicon
from lm.sentence_files import write_sentences
from lm.word_division import Phones
from lm.written_lines import written_line
from unsup_asr.formats.lines import read_lines
from unsup_asr.formats.phone_text import write_inventory
from unsup_asr.ranges import NonNegativeInt, PositiveInt

log = logging.getLogger(__name__)

UNKNOWN = "spn"  # Kaldi's and MFA's phone for a word that no dictionary has
MOST_UNKNOWN_WORDS = 0.1  # of references, above which they are taken for another language's
_SHOWN_WORDS = 100

Said = tuple[str, Phones | None]


@dataclass(kw_only=True)
class WordFrontEnd(ABC):
    """Of the text, a sentence with a word that cannot be said is dropped, as in wav2vec-U. Of
    references, such a word is one phone `spn`, which no system writes: an error, and no smaller
    test set.

    `fold` maps phones to others, on text and references alike; phones rarer than
    `min_phone_count` are treated by the rule `rare` (merge, drop or keep). Lengths are in words.
    """

    language: str = "en-us"  # decides nothing here but how capitals become small letters
    fold: dict[str, str] = field(default_factory=dict)
    min_phone_count: NonNegativeInt = 1
    rare: str = "keep"
    min_words: PositiveInt = 1
    max_words: PositiveInt = 200

    @abstractmethod
    def pronounce(self, word: str) -> Phones | None:
        """Folded phones of a word as it is stored, None where it cannot be said."""

    @abstractmethod
    def explain_unknown(self) -> str:
        """What words that cannot be said lack, and what to do: ends the messages about them."""

    def say(self, words: Sequence[str]) -> list[Said]:
        """The words of a line, each with its phones; a front end may divide words further."""
        return [(word, self.pronounce(word)) for word in words]

    def other_pronunciations(self, word: str) -> Sequence[Phones]:
        """Further folded ways to say a word, for the lexicon alone."""
        del word
        return ()

    def prepare(self, text: Path, out: Path) -> None:
        """Say the lines of `text` one by one; ValueError when no sentence is left."""
        lines, unknown, phone_counts = Counter[str](), Counter[str](), Counter[str]()
        words = Counter[tuple[str, Phones]]()
        with TemporaryFile("w+", dir=out, encoding="utf-8") as waiting:  # for the inventory
            for line in read_lines(text):
                written = written_line(line, self.language)
                said = self.say(written.stored_words)
                missing = [word for word, phones in said if phones is None]
                reason = self._reason_to_drop(len(said), missing)
                lines[reason or "kept"] += 1
                unknown.update(missing)
                if reason is not None:
                    continue
                for word, phones in said:
                    if phones:
                        words[word, phones] += 1
                        phone_counts.update(phones)
                        waiting.write(f"{word} {' '.join(phones)}\t")
                waiting.write(f"{written.text}\n")
            if not phone_counts:
                raise ValueError(self._nothing_left(text, lines, unknown))
            inventory = choose_inventory(
                phone_counts, min_count=self.min_phone_count, rare=self.rare
            )
            waiting.seek(0)
            num_kept = write_sentences(waiting, inventory, out)
        if not num_kept:
            raise ValueError(f"{text}: every sentence has a phone that was dropped as too rare")
        log.info(
            "%s: %d of %d sentences kept; %d running words (%d words) cannot be said",
            *(text, num_kept, lines.total(), unknown.total(), len(unknown)),
        )
        write_inventory(out / "inventory.json", inventory.phones, inventory.merged)
        self._lexicon(words, inventory).write(out / "lexicon.tsv")
        counts = {
            "lines": dict(lines),
            "sentences_kept": num_kept,
            "unknown_words": {
                "running": unknown.total(),
                "distinct": len(unknown),
                "most_frequent": dict(unknown.most_common(_SHOWN_WORDS)),
            },
            "merged_phones": {p: list(q) for p, q in inventory.merged.items()},
            "dropped_phones": inventory.dropped,
        }
        (out / "counts.json").write_text(json.dumps(counts, ensure_ascii=False, indent=1), "utf-8")

    def normalize_words(self, words: Sequence[str]) -> tuple[str, ...]:
        """Words as they stand in the text that `prepare` wrote: lower case, no marks around."""
        stored = written_line(" ".join(words), self.language).stored_words
        return tuple(word for word, _ in self.say(stored))

    def phonemize_references(self, words: Mapping[str, Sequence[str]]) -> dict[str, Phones]:
        """Phones of each utterance's words; ValueError where too few of them can be said."""
        said = {
            i: self.say(written_line(" ".join(of), self.language).stored_words)
            for i, of in words.items()
        }
        unknown = Counter(w for of in said.values() for w, phones in of if phones is None)
        num_words = sum(map(len, said.values()))
        told = (
            f"{unknown.total()} of {num_words} words of the references cannot be said (most "
            f"often: {' '.join(w for w, _ in unknown.most_common(8))}): {self.explain_unknown()}"
        )
        if unknown.total() > MOST_UNKNOWN_WORDS * num_words:
            raise ValueError(
                f"{told}. Expected at most {100 * MOST_UNKNOWN_WORDS:.0f} % of the references"
            )
        if unknown:
            log.warning("%s. Each counts as one phone %s, an error in every system", told, UNKNOWN)
        return {
            i: tuple(p for _, phones in of for p in ((UNKNOWN,) if phones is None else phones))
            for i, of in said.items()
        }

    def fold_phones(self, phones: Sequence[str]) -> Phones:
        """The phones with the recipe's fold applied."""
        return tuple(self.fold.get(phone, phone) for phone in phones)

    def _reason_to_drop(self, num_words: int, missing: Sequence[str]) -> str | None:
        if not num_words:
            return "empty"
        if num_words < self.min_words:
            return "too_short"
        if num_words > self.max_words:
            return "too_long"
        return "unknown_word" if missing else None

    def _nothing_left(self, text: Path, lines: Counter[str], unknown: Counter[str]) -> str:
        reasons = ", ".join(f"{n} {why}" for why, n in lines.items() if n)
        shown = " ".join(word for word, _ in unknown.most_common(8))
        remedy = f"; words that cannot be said: {shown}: {self.explain_unknown()}" if shown else ""
        return f"{text}: no sentence is left ({reasons}){remedy}"

    def _lexicon(
        self, words: Mapping[tuple[str, Phones], int], inventory: PhoneInventory
    ) -> Lexicon:
        """Every pronunciation of each word of the text, in phones of the inventory."""
        counts: dict[str, Counter[Phones]] = {}
        for (word, phones), count in words.items():
            for spoken in (phones, *self.other_pronunciations(word)):
                if replaced := inventory.apply(spoken):
                    counts.setdefault(word, Counter())[replaced] = count
        return Lexicon.from_counts(counts)
