"""Phonemized text on disk: one sentence a line, phones parted by spaces, words by ` | `."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from unsup_asr.formats.checked import read_json
from unsup_asr.formats.lines import read_lines
from unsup_asr.types import Int32Array

_WORD_EDGE = "|"
Phones = tuple[str, ...]


def write_phone_sentences(path: Path, sentences: Iterable[Sequence[Phones]]) -> None:
    """Write sentences of words of phones."""
    with path.open("w", encoding="utf-8") as lines:
        lines.writelines(phone_sentence_line(sentence) + "\n" for sentence in sentences)


def phone_sentence_line(sentence: Sequence[Phones]) -> str:
    """One line of the file."""
    return f" {_WORD_EDGE} ".join(" ".join(word) for word in sentence)


def iter_phone_sentences(path: Path) -> Iterator[list[Phones]]:
    """Sentences of words of phones, one after the other; ValueError at the end of an empty file.

    A word that occurs often is in memory once.
    """
    words: dict[str, Phones] = {}

    def word_of(text: str) -> Phones:
        if text not in words:
            words[text] = tuple(map(sys.intern, text.split()))
        return words[text]

    is_empty = True
    for line in read_lines(path):
        if line.strip():
            is_empty = False
            yield [word_of(word) for word in line.split(_WORD_EDGE) if word.strip()]
    if is_empty:
        raise ValueError(f"{path}: no phonemized sentence; expected one a line")


def read_phone_sentences(path: Path) -> list[list[Phones]]:
    """The same, all in memory."""
    return list(iter_phone_sentences(path))


def write_inventory(path: Path, phones: Sequence[str], merged: Mapping[str, Sequence[str]]) -> None:
    """Write the phones in the order of their ids, and what stands for those that are too rare."""
    content = {"phones": list(phones), "merged": {p: list(q) for p, q in merged.items()}}
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), "utf-8")


def read_inventory(path: Path) -> list[str]:
    """Phones in the order of their ids; ValueError for a damaged file."""
    phones = read_json(path, "phones")["phones"]
    if not isinstance(phones, list) or not all(isinstance(phone, str) for phone in phones):
        raise ValueError(f"{path}: phones are {phones!r}; expected a list of names")
    if again := [phone for phone, count in Counter(phones).items() if count > 1]:
        raise ValueError(f"{path}: phone {again[0]!r} more than once; expected each once")
    return phones


def read_merged_phones(path: Path) -> dict[str, Phones]:
    """What stands in the text for each phone that was too rare to keep."""
    merged = read_json(path, "merged")["merged"]
    if not isinstance(merged, dict) or not all(isinstance(q, list) for q in merged.values()):
        raise ValueError(f"{path}: merged phones are {merged!r}; expected lists of phones by phone")
    return {phone: tuple(stand_in) for phone, stand_in in merged.items()}


def flat_phones(sentence: Sequence[Phones]) -> list[str]:
    """The phones of a sentence without its word edges."""
    return [phone for word in sentence for phone in word]


def phone_ids(phones: Sequence[str], inventory: Sequence[str]) -> Int32Array:
    """Ids of phones; ValueError names one that the inventory does not have."""
    index = {phone: i for i, phone in enumerate(inventory)}
    unknown = [phone for phone in phones if phone not in index]
    if unknown:
        raise ValueError(
            f"phone {unknown[0]!r} is not in the inventory of {len(inventory)} phones "
            f"({' '.join(inventory)}); fold it in the recipe (text.front_end.fold)"
        )
    return np.array([index[phone] for phone in phones], dtype=np.int32)
