"""A front end for text that is phones already, such as a corpus of phone transcripts.

A line is `words<TAB>phones`, with ` | ` between the phones of two words and as many words before
the tab; or phones alone, where a word is named by its phones. It writes what `EspeakFrontEnd`
writes.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lm.inventory import PhoneInventory, count_inventory
from lm.lexicon import Lexicon
from lm.word_division import Phones
from unsup_asr.formats.lines import numbered_lines
from unsup_asr.formats.phone_text import write_inventory, write_phone_sentences
from unsup_asr.ranges import NonNegativeInt

logger = logging.getLogger(__name__)

Word = tuple[str, Phones]

_WORD_EDGE = "|"


@dataclass(kw_only=True)
class PhoneFrontEnd:
    """Phones as they are; `fold` maps phones to others, on text and references alike.

    Phones rarer than `min_phone_count` are treated by the rule `rare` (merge, drop or keep).
    """

    fold: dict[str, str] = field(default_factory=dict)
    min_phone_count: NonNegativeInt = 1
    rare: str = "keep"

    def prepare(self, text: Path, out: Path) -> None:
        """Read the lines of `text`; ValueError names one that is malformed."""
        sentences = [
            self._sentence(line, f"{text}:{number}")
            for number, line in numbered_lines(text)
            if line.strip()
        ]
        if not sentences:
            raise ValueError(f"{text}: no sentence of phones; expected one a line")
        if all(len(sentence) == 1 for sentence in sentences):
            logger.warning(
                "%s: no line has a word edge (' %s '), so each line is one word of the lexicon. "
                "Mark the edges where they are known: realignment and words need them",
                text,
                _WORD_EDGE,
            )
        inventory = count_inventory(
            ([p for _, phones in sentence for p in phones] for sentence in sentences),
            min_count=self.min_phone_count,
            rare=self.rare,
        )
        kept = [s for s in (_apply(inventory, sentence) for sentence in sentences) if s]
        if not kept:
            raise ValueError(f"{text}: every sentence has a phone that was dropped as too rare")
        pronunciations: dict[str, Counter[Phones]] = {}
        for name, phones in (word for sentence in kept for word in sentence):
            pronunciations.setdefault(name, Counter())[phones] += 1
        write_phone_sentences(out / "phones.txt", ([p for _, p in sentence] for sentence in kept))
        names = [" ".join(name for name, _ in sentence) for sentence in kept]
        (out / "words.txt").write_text("\n".join(names) + "\n", "utf-8")
        # a word in angle brackets is not said: the silence of a text of phones
        said = [_to_say(sentence) for sentence in kept]
        (out / "written.txt").write_text("\n".join(said) + "\n", "utf-8")
        write_inventory(out / "inventory.json", inventory.phones, inventory.merged)
        Lexicon.from_counts(pronunciations).write(out / "lexicon.tsv")
        counts = {
            "sentences": len(sentences),
            "sentences_kept": len(kept),
            "merged_phones": {p: list(q) for p, q in inventory.merged.items()},
            "dropped_phones": inventory.dropped,
        }
        _write_json(out / "counts.json", counts)

    def normalize_words(self, words: Sequence[str]) -> tuple[str, ...]:
        """Words as they stand in the text: as they are."""
        return tuple(words)

    def phonemize_references(self, words: Mapping[str, Sequence[str]]) -> dict[str, Phones]:
        """Always a ValueError: words cannot be scored against phones that nothing phonemizes."""
        raise ValueError(
            f"{len(words)} references are words, and text=phones phonemizes nothing: give "
            "references as phones (corpus.reference_kind=phones), or choose text=espeak"
        )

    def fold_phones(self, phones: Sequence[str]) -> Phones:
        """The phones with the recipe's fold applied."""
        return tuple(self.fold.get(phone, phone) for phone in phones)

    def _sentence(self, line: str, where: str) -> list[Word]:
        before, tab, after = line.rpartition("\t")
        groups = [self.fold_phones(group.split()) for group in after.split(_WORD_EDGE)]
        if not all(groups):
            raise ValueError(f"{where}: {line!r} has a word without phones")
        names = before.split() if tab else [_named_by(phones) for phones in groups]
        if len(names) != len(groups):
            raise ValueError(
                f"{where}: {len(names)} words before the tab and {len(groups)} groups of phones "
                f"behind it ({line!r}); expected one each, parted by ' {_WORD_EDGE} '"
            )
        return list(zip(names, groups, strict=True))


def _apply(inventory: PhoneInventory, sentence: Sequence[Word]) -> list[Word] | None:
    """The sentence with rare phones merged; None where one was dropped."""
    found: list[Word] = []
    for name, phones in sentence:
        replaced = inventory.apply(phones)
        if replaced is None:
            return None
        found.append((name, replaced))
    return found


def _named_by(phones: Phones) -> str:
    """The name of a word that is given by its phones alone."""
    return "_".join(phones)


def _to_say(sentence: Sequence[Word]) -> str:
    """Its words, for a synthesizer; nothing where they are phones, which it would spell out."""
    words = [(name, phones) for name, phones in sentence if name[0] != "<"]
    if all(name == _named_by(phones) for name, phones in words):
        return ""
    return " ".join(name for name, _ in words)


def _write_json(path: Path, content: Mapping[str, object]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), "utf-8")
