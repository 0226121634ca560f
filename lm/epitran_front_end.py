"""Text to phones by epitran's tables (Mortensen et al. 2018): a second phonemiser, for languages
that espeak-ng does not speak. It needs the extra `g2p`.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lm.optional_packages import import_extra
from lm.word_division import Phones
from lm.word_front_end import WordFrontEnd
from unsup_asr.ranges import NonNegativeInt
from unsup_asr.speech.phones import fold_espeak


@dataclass(kw_only=True)
class EpitranFrontEnd(WordFrontEnd):
    """IPA of each word, folded to the canonical inventory of `unsup_asr.speech.phones`, as
    espeak-ng's is. `code` is epitran's: a language of ISO 639-3 and a script, `hau-Latn`.
    """

    code: str
    min_phone_count: NonNegativeInt = 20
    rare: str = "merge"

    def __post_init__(self) -> None:
        self._known: dict[str, Phones | None] = {}

    @cached_property
    def _transcribe(self) -> Callable[[str], list[str]]:
        epitran = import_extra("epitran", "text=epitran")
        tables = Path(str(epitran.__file__)).parent / "data" / "map"
        codes = sorted(path.stem for path in tables.glob("*.csv"))
        if self.code not in codes:
            near = [known for known in codes if known.split("-")[0] == self.code.split("-")[0]]
            near += difflib.get_close_matches(self.code, codes, n=3)
            meant = f"near codes: {', '.join(dict.fromkeys(near))}" if near else "none is near it"
            raise ValueError(
                f"epitran has no table {self.code!r}; {meant}. A code is a language of ISO 639-3 "
                "and a script, such as hau-Latn (text.front_end.code)"
            )
        return epitran.Epitran(self.code).trans_list

    def pronounce(self, word: str) -> Phones | None:
        """Its phones; None where it has digits or signs, or no phone."""
        if word not in self._known:
            has_signs = any(unicodedata.category(c)[0] in "NS" for c in word)
            ipa = [] if has_signs else self._transcribe(word)
            phones = [phone for segment in ipa for phone in fold_espeak(segment)]
            self._known[word] = self.fold_phones(phones) if phones else None
        return self._known[word]

    def explain_unknown(self) -> str:
        """That epitran's table has no phones for them."""
        return f"epitran's table {self.code} has no phones for them; write numbers as words"
