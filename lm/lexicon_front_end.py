"""Text to phones by a pronouncing dictionary: for phone sets of other systems, and for languages
that espeak-ng does not speak.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

from lm.pronouncing_dictionary import read_dictionary
from lm.word_division import Phones
from lm.word_front_end import WordFrontEnd
from unsup_asr.ranges import Filled


@dataclass(kw_only=True)
class LexiconFrontEnd(WordFrontEnd):
    """Phones of each word are its first pronunciation in `dictionary`, a file or several (the first
    that has the word); other pronunciations go into the lexicon.

    A compound with hyphens that the dictionary lacks is said part by part. `drop_stress` reads
    `AH0` as `AH`.
    """

    dictionary: str | Annotated[list[str], Filled()]
    drop_stress: bool = True

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

    def pronounce(self, word: str) -> Phones | None:
        """The usual pronunciation of a word as it is stored; None where there is none."""
        if known := self.pronunciations.get(word):
            return known[0]
        parts = [part for part in word.split("-") if part]
        said = [self.pronunciations.get(part) for part in parts]
        if len(parts) < 2 or None in said:
            return None
        return tuple(phone for of_part in said if of_part for phone in of_part[0])

    def other_pronunciations(self, word: str) -> Sequence[Phones]:
        """All that the dictionary has behind the usual one."""
        return self.pronunciations.get(word, ())[1:]

    def explain_unknown(self) -> str:
        """That the dictionary lacks them."""
        known_as = ", ".join(str(path) for path in self.source_files())
        return (
            f"they are not in {known_as}; give a dictionary of the language, or a second one of "
            "the missing words (text.front_end.dictionary)"
        )
