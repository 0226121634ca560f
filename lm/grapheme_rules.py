"""Spellings that are nearly phones: words cut into letters, by a table where letters go together.

A table is TSV, a grapheme and its phones a line, `#` before a comment:

    sh      ʃ       two letters, one phone; the longest grapheme that fits is taken
    x       k s     one letter, two phones
    h               nothing behind the tab: not said

Letters that no line names are phones themselves, with the marks upon them (`é`, `ọ́`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from pathlib import Path

from lm.word_division import Phones
from unsup_asr.formats.lines import numbered_lines

_SILENT = frozenset("'-‐‑·")  # inside words, where no rule names them


def read_grapheme_rules(path: Path) -> dict[str, Phones]:
    """Phones of each grapheme, in small letters and NFC; ValueError names a bad line."""
    rules: dict[str, Phones] = {}
    for number, line in numbered_lines(path):
        if not line.strip() or line.startswith("#"):
            continue
        grapheme, tab, phones = line.partition("\t")
        grapheme = unicodedata.normalize("NFC", grapheme.strip().lower())
        if not tab or not grapheme or any(c.isspace() for c in grapheme):
            raise ValueError(
                f"{path}:{number}: {line!r}; expected a grapheme, a tab, and its phones with "
                "spaces between them (none: it is not said)"
            )
        if grapheme in rules:
            raise ValueError(f"{path}:{number}: a second line for {grapheme!r}; expected one")
        rules[grapheme] = tuple(phones.split())
    if not rules:
        raise ValueError(f"{path}: no rule; expected a grapheme, a tab and its phones a line")
    return rules


def phones_of_spelling(word: str, rules: Mapping[str, Phones], longest: int) -> Phones | None:
    """Phones of a word in small letters, NFC; None where a character is neither in a rule nor a
    letter. `longest`: characters of the longest grapheme.
    """
    phones: list[str] = []
    start = 0
    while start < len(word):
        for end in range(min(len(word), start + longest), start, -1):
            if (known := rules.get(word[start:end])) is not None:
                phones.extend(known)
                break
        else:
            end = _end_of_letter(word, start)
            letter = word[start:end]
            if letter not in _SILENT:
                if not letter[0].isalpha():
                    return None
                phones.append(letter)
        start = end
    return tuple(phones)


def _end_of_letter(word: str, start: int) -> int:
    """Where the letter ends with the accents upon it; vowel signs of Indic scripts are letters."""
    end = start + 1
    while end < len(word) and unicodedata.combining(word[end]):
        end += 1
    return end
