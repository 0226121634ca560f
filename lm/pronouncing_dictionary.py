"""Pronouncing dictionaries of others: CMU's, Kaldi's, MFA's; one word and its phones a line.

    ABACUS  AE1 B AH0 K AH0 S        two spaces, one or a tab
    abacus(2)  AE1 B AH0 K IH0 S     another pronunciation; so is a second line of one word
    ABACUS 0.8 AE1 B AH0 K AH0 S     probabilities before the phones are passed over
    ;;; a comment, and # one behind an entry

Entries that are no words, such as `<SIL>` or `!EXCLAMATION-POINT`, are passed over and counted.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

from lm.word_division import Phones
from lm.written_lines import written_line
from unsup_asr.formats.lines import numbered_lines

log = logging.getLogger(__name__)

_OTHER = re.compile(r"(.+)\(\d+\)")
_PROBABILITY = re.compile(r"\d*\.?\d+(e-?\d+)?", re.IGNORECASE)
_STRESSED = re.compile(r"([A-Z]+)[012]")
_COMMENT = re.compile(r"\s#.*")


def read_dictionary(
    path: Path, *, language: str, drop_stress: bool = True
) -> dict[str, tuple[Phones, ...]]:
    """Pronunciations of each word, as texts of the language store it, in the file's order.

    `drop_stress` takes the digit off ARPAbet's vowels (`AH0`), never off other phones: elsewhere
    digits are tones. ValueError names the first line that is no entry.
    """
    exact: dict[str, list[Phones]] = {}
    bare: dict[str, list[Phones]] = {}  # what is left of words such as 'TWAS without their marks
    num_passed_over = 0
    for number, line in numbered_lines(path):
        if not line.strip() or line.startswith(";;;"):
            continue
        written, phones = _entry(line, f"{path}:{number}")
        if drop_stress:
            phones = tuple(_STRESSED.sub(r"\1", phone) for phone in phones)
        stored = written_line(written, language).stored_words
        if len(stored) != 1 or not (written[0].isalnum() or written[0] in "'’"):
            num_passed_over += 1
            continue
        is_exact = len(stored[0]) == len(written)
        known = (exact if is_exact else bare).setdefault(stored[0], [])
        if phones not in known:
            known.append(phones)
    if not exact and not bare:
        raise ValueError(f"{path}: no word; expected a word and its phones on each line")
    if num_passed_over:
        log.info("%s: %d entries are no words", path, num_passed_over)
    return {word: tuple(said) for word, said in {**bare, **exact}.items()}


def _entry(line: str, where: str) -> tuple[str, Phones]:
    """The word of a line, without the number of its pronunciation, and the phones."""
    head, tab, tail = _COMMENT.sub("", line).strip().partition("\t")
    fields = head.split() + tail.split()
    behind = head.split()[1:] if tab else []
    if any(not _PROBABILITY.fullmatch(field) for field in behind):
        raise ValueError(
            f"{where}: {head!r} before the tab is more than one word; expected one word a line, "
            "then its phones"
        )
    first = 1
    while first < len(fields) and _PROBABILITY.fullmatch(fields[first]):
        first += 1
    if first >= len(fields):
        raise ValueError(
            f"{where}: {line!r} has no phones; expected a word, then its phones with spaces "
            "between them"
        )
    other = _OTHER.fullmatch(fields[0])
    return (other[1] if other else fields[0]), tuple(fields[first:])
