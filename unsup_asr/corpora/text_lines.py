"""Unpaired text out of a file, plain or gzip, of any length; without what was said in the audio."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from unsup_asr.formats.lines import read_lines

_NO_LETTERS = re.compile(r"[\W_]+")


def read_text(path: Path) -> Iterator[str]:
    """Non-empty lines one by one: the text may be larger than memory.

    ValueError where there is no such file, or it is not UTF-8.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file; `text` names a text with one sentence a line")
    stripped = (line.strip() for line in read_lines(path))
    return (line for line in stripped if line)


class UnsaidLines:
    """Lines without those that equal one of the transcripts `said`, case and punctuation aside.

    `num_said` counts the lines left out; it is whole when the lines have been read.
    """

    def __init__(self, lines: Iterable[str], said: Iterable[str]) -> None:
        self._lines = lines
        self._said = {letters(sentence) for sentence in said}
        self.num_said = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            if letters(line) in self._said:
                self.num_said += 1
            else:
                yield line


def at_most(lines: Iterable[str], max_lines: int | None, *, seed: int) -> Iterable[str]:
    """All lines, or of more than `max_lines` a uniform sample, in their first order."""
    if max_lines is None:
        return lines
    if max_lines < 1:
        raise ValueError(f"max_text_lines is {max_lines}; expected 1 or more, or null for all")
    return _sample(lines, max_lines, np.random.default_rng(seed))


def letters(sentence: str) -> str:
    """Letters and digits alone, case folded: what makes two sentences the same."""
    return _NO_LETTERS.sub("", sentence.casefold())


def _sample(lines: Iterable[str], size: int, generator: np.random.Generator) -> list[str]:
    """In one pass and `size` lines of memory: algorithm L of Li 1994."""
    kept: list[tuple[int, str]] = []
    weight, upcoming = 1.0, -1
    for number, line in enumerate(lines):
        if number < size:
            kept.append((number, line))
        elif number == upcoming:
            kept[int(generator.integers(size))] = (number, line)
        if number >= size - 1 and number >= upcoming:
            weight *= math.exp(math.log(1.0 - generator.random()) / size)
            skipped = math.log(1.0 - generator.random()) / math.log1p(-weight)
            upcoming = number + math.floor(skipped) + 1
    return [line for _, line in sorted(kept)]
