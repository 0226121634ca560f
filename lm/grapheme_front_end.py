"""Text whose letters are its phones, or nearly: for alphabets of languages that nothing phonemizes.

Scripts whose letters are far from phones are romanised first (`romanize: uroman`, Hermjakob et al.
2018), which needs the extra `g2p`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lm.grapheme_rules import phones_of_spelling, read_grapheme_rules
from lm.inventory import PhoneInventory
from lm.lexicon import Lexicon
from lm.optional_packages import import_extra
from lm.word_division import Phones
from lm.word_front_end import WordFrontEnd
from unsup_asr.ranges import NonNegativeInt

MOST_LETTERS = 150  # of an alphabet with accents; the largest syllabaries have more
_ROMANIZERS = ("none", "uroman")


@dataclass(kw_only=True)
class GraphemeFrontEnd(WordFrontEnd):
    """Letters as phones; `rules` is a table of graphemes that are others (`lm.grapheme_rules`).

    `romanize`: "uroman" writes words in Latin letters before rules are applied. Words with digits
    or signs cannot be said.
    """

    rules: str | None = None
    romanize: str = "none"
    min_phone_count: NonNegativeInt = 20
    rare: str = "merge"

    def __post_init__(self) -> None:
        if self.romanize not in _ROMANIZERS:
            raise ValueError(f"romanize is {self.romanize!r}; expected one of {_ROMANIZERS}")
        self._known: dict[str, Phones | None] = {}

    def source_files(self) -> list[Path]:
        """Files whose content decides the phones."""
        return [] if self.rules is None else [Path(self.rules)]

    @cached_property
    def _rules(self) -> dict[str, Phones]:
        return {} if self.rules is None else read_grapheme_rules(Path(self.rules))

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._rules), default=1)

    @cached_property
    def _romanized(self) -> Callable[[str], str]:
        if self.romanize == "none":
            return str
        return import_extra("uroman", "romanize=uroman").Uroman().romanize_string

    def pronounce(self, word: str) -> Phones | None:
        """Its letters; None where one of its characters is none."""
        if word not in self._known:
            spelt = self._romanized(word).lower()
            phones = phones_of_spelling(spelt, self._rules, self._longest)
            self._known[word] = None if phones is None else self.fold_phones(phones)
        return self._known[word]

    def explain_unknown(self) -> str:
        """That a character of theirs is no letter."""
        return (
            "digits and signs are no letters: write numbers as words, or name the character in "
            "the table text.front_end.rules"
        )

    def _lexicon(
        self, words: Mapping[tuple[str, Phones], int], inventory: PhoneInventory
    ) -> Lexicon:
        if len(inventory.phones) > MOST_LETTERS:
            raise ValueError(
                f"the text has {len(inventory.phones)} letters ({' '.join(inventory.phones[:12])} "
                f"...); expected at most {MOST_LETTERS}, for this is an alphabet. Use "
                "text.front_end.romanize=uroman, text=pinyin for Chinese, or a dictionary "
                "(text=lexicon)"
            )
        return super()._lexicon(words, inventory)
