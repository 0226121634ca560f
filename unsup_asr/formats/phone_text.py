"""Phonemized text on disk: one sentence a line, phones parted by spaces, words by ` | `."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from unsup_asr.formats.checked import read_json
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


def read_phone_sentences(path: Path) -> list[list[Phones]]:
    """Sentences of words of phones; ValueError for an empty file."""
    lines = path.read_text("utf-8").splitlines()
    sentences = [
        [tuple(word.split()) for word in line.split(_WORD_EDGE) if word.strip()]
        for line in lines
        if line.strip()
    ]
    if not sentences:
        raise ValueError(f"{path}: no phonemized sentence; expected one a line")
    return sentences


def read_inventory(path: Path) -> list[str]:
    """Phones in the order of their ids; ValueError for a damaged file."""
    phones = read_json(path, "phones")["phones"]
    if not isinstance(phones, list) or not all(isinstance(phone, str) for phone in phones):
        raise ValueError(f"{path}: phones are {phones!r}; expected a list of names")
    return phones


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
