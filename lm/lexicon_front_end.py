"""Text to phones by a pronouncing dictionary: for phone sets of other systems, and for languages
that espeak-ng does not speak. It writes what `EspeakFrontEnd` writes.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated

from lm.inventory import PhoneInventory, choose_inventory
from lm.lexicon import Lexicon
from lm.pronouncing_dictionary import read_dictionary
from lm.sentence_files import write_sentences
from lm.word_division import Phones
from lm.written_lines import WrittenLine, written_line
from unsup_asr.formats.lines import read_lines
from unsup_asr.formats.phone_text import write_inventory
from unsup_asr.ranges import Filled, NonNegativeInt, PositiveInt

log = logging.getLogger(__name__)

UNKNOWN = "spn"  # Kaldi's and MFA's phone for a word that no dictionary has
MOST_UNKNOWN_WORDS = 0.1  # of references, above which the dictionary is another language's
_SHOWN_WORDS = 100


@dataclass(kw_only=True)
class LexiconFrontEnd:
    """Phones of each word are its first pronunciation in `dictionary`, a file or several (the first
    that has the word); other pronunciations go into the lexicon.

    Of the text, a sentence with a word that the dictionary lacks is dropped, as in wav2vec-U. Of
    references, such a word is one phone `spn`, which no system writes: an error, and no smaller
    test set. A compound with hyphens that the dictionary lacks is said part by part.

    `drop_stress` reads `AH0` as `AH`; `fold` maps phones to others; phones rarer than
    `min_phone_count` are treated by the rule `rare` (merge, drop or keep).
    """

    dictionary: str | Annotated[list[str], Filled()]
    language: str = "en-us"  # decides nothing but how capitals become small letters
    drop_stress: bool = True
    fold: dict[str, str] = field(default_factory=dict)
    min_phone_count: NonNegativeInt = 1
    rare: str = "keep"
    min_words: PositiveInt = 1
    max_words: PositiveInt = 200

    def source_files(self) -> list[Path]:
        """Files whose content decides the phones."""
        given = [self.dictionary] if isinstance(self.dictionary, str) else self.dictionary
        return [Path(name) for name in given]

    @cached_property
    def pronunciations(self) -> dict[str, tuple[Phones, ...]]:
        """Of each word, folded; the first is the usual one."""
        found: dict[str, tuple[Phones, ...]] = {}
        for path in reversed(self.source_files()):
            found |= read_dictionary(path, language=self.language, drop_stress=self.drop_stress)
        return {w: tuple(self.fold_phones(phones) for phones in all_) for w, all_ in found.items()}

    def prepare(self, text: Path, out: Path) -> None:
        """Look up the lines of `text` one by one; ValueError when no sentence is left."""
        lines, unknown = Counter[str](), Counter[str]()
        words, phones = Counter[str](), Counter[str]()
        with TemporaryFile("w+", dir=out, encoding="utf-8") as waiting:  # for the inventory
            for written in read_lines(text):
                line = written_line(written, self.language)
                missing = [w for w in line.stored_words if self.pronounce(w) is None]
                reason = self._reason_to_drop(line, missing)
                lines[reason or "kept"] += 1
                unknown.update(missing)
                if reason is not None:
                    continue
                for word in line.stored_words:
                    said = self.pronounce(word)
                    assert said is not None
                    words[word] += 1
                    phones.update(said)
                    waiting.write(f"{word} {' '.join(said)}\t")
                waiting.write(f"{line.text}\n")
            if not lines["kept"]:
                raise ValueError(self._nothing_left(text, lines, unknown))
            inventory = choose_inventory(phones, min_count=self.min_phone_count, rare=self.rare)
            waiting.seek(0)
            num_kept = write_sentences(waiting, inventory, out)
        if not num_kept:
            raise ValueError(f"{text}: every sentence has a phone that was dropped as too rare")
        log.info(
            "%s: %d of %d sentences kept; %d running words (%d words) are not in the dictionary",
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

    def pronounce(self, word: str) -> Phones | None:
        """The usual pronunciation of a word as it is stored; None where there is none."""
        if known := self.pronunciations.get(word):
            return known[0]
        parts = [part for part in word.split("-") if part]
        said = [self.pronunciations.get(part) for part in parts]
        if len(parts) < 2 or None in said:
            return None
        return tuple(phone for of_part in said if of_part for phone in of_part[0])

    def normalize_words(self, words: Sequence[str]) -> tuple[str, ...]:
        """Words as they stand in the text that `prepare` wrote: lower case, no marks around."""
        return tuple(written_line(" ".join(words), self.language).stored_words)

    def phonemize_references(self, words: Mapping[str, Sequence[str]]) -> dict[str, Phones]:
        """Phones of each utterance's words; ValueError where the dictionary has too few of them."""
        said = {i: self.normalize_words(of) for i, of in words.items()}
        unknown = Counter(w for of in said.values() for w in of if self.pronounce(w) is None)
        num_words = sum(map(len, said.values()))
        known_as = ", ".join(str(path) for path in self.source_files())
        told = (
            f"{unknown.total()} of {num_words} words of the references are not in {known_as} "
            f"(most often: {' '.join(w for w, _ in unknown.most_common(8))})"
        )
        if unknown.total() > MOST_UNKNOWN_WORDS * num_words:
            raise ValueError(
                f"{told}; expected at most {100 * MOST_UNKNOWN_WORDS:.0f} %. Give a dictionary of "
                "the language, or a second one of the missing words (text.front_end.dictionary)"
            )
        if unknown:
            log.warning("%s: each counts as one phone %s, an error", told, UNKNOWN)
        return {
            i: tuple(p for w in of for p in (self.pronounce(w) or (UNKNOWN,)))
            for i, of in said.items()
        }

    def fold_phones(self, phones: Sequence[str]) -> Phones:
        """The phones with the recipe's fold applied."""
        return tuple(self.fold.get(phone, phone) for phone in phones)

    def _reason_to_drop(self, line: WrittenLine, missing: Sequence[str]) -> str | None:
        num_words = len(line.stored_words)
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
        remedy = f"; words that the dictionary lacks: {shown}" if shown else ""
        return f"{text}: no sentence is left ({reasons}){remedy}. Is the dictionary the text's?"

    def _lexicon(self, words: Mapping[str, int], inventory: PhoneInventory) -> Lexicon:
        """Every pronunciation of each word of the text, in phones of the inventory."""
        counts: dict[str, Counter[Phones]] = {}
        for word, count in words.items():
            said = self.pronunciations.get(word) or (self.pronounce(word) or (),)
            for phones in said:
                if replaced := inventory.apply(phones):
                    counts.setdefault(word, Counter())[replaced] = count
        return Lexicon.from_counts(counts)
