"""Chinese characters to initials and finals of pinyin, without tones; a word is a character, so
that the word error rate is the character error rate. It needs the extra `g2p` (pypinyin).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType

from lm.optional_packages import import_extra
from lm.word_division import Phones
from lm.word_front_end import Said, WordFrontEnd
from unsup_asr.ranges import NonNegativeInt

_SIBILANTS = frozenset(("z", "c", "s", "zh", "ch", "sh", "r"))
_APICAL = "ɨ"  # the final that pinyin writes `i` behind these, another vowel than in `bi`


@dataclass(kw_only=True)
class PinyinFrontEnd(WordFrontEnd):
    """Each character is read in its phrase, for many are read in several ways."""

    min_phone_count: NonNegativeInt = 20
    rare: str = "drop"

    def pronounce(self, word: str) -> Phones | None:
        """Initials and finals of a phrase; None where a character is not Chinese."""
        said = [phones for _, phones in self.say([word])]
        return None if None in said else tuple(p for phones in said for p in phones or ())

    def say(self, words: Sequence[str]) -> list[Said]:
        """Each character of the phrases, with its phones."""
        return [said for phrase in words for said in self._characters(phrase)]

    def explain_unknown(self) -> str:
        """That they are not Chinese characters."""
        return "they are no Chinese characters; write numbers and names in characters"

    @cached_property
    def _pypinyin(self) -> ModuleType:
        return import_extra("pypinyin", "text=pinyin")

    def _characters(self, phrase: str) -> list[Said]:
        style, read = self._pypinyin.Style, self._pypinyin.lazy_pinyin
        initials, finals = (
            read(phrase, style=form, strict=True, errors=lambda other: [None] * len(other))
            for form in (style.INITIALS, style.FINALS)
        )
        return [
            (character, self._phones(initial, final))
            for character, initial, final in zip(phrase, initials, finals, strict=True)
        ]

    def _phones(self, initial: str | None, final: str | None) -> Phones | None:
        if not final:
            return None
        vowel = _APICAL if final == "i" and initial in _SIBILANTS else final
        return self.fold_phones([phone for phone in (initial, vowel) if phone])
