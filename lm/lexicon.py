"""Pronunciation lexicon: word, phones, count; a tab-separated file sorted by word."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lm.word_division import Phones
from unsup_asr.formats.lines import numbered_lines

_COUNT = re.compile("[0-9]{1,15}")
_HEADER = "word\tphones\tcount"


@dataclass(frozen=True)
class Lexicon:
    """Pronunciations of each word with how often each was seen, the most frequent first."""

    entries: dict[str, dict[Phones, int]]

    @classmethod
    def from_counts(
        cls,
        counts: Mapping[str, Counter[Phones]],
        *,
        max_pronunciations: int = 4,
        min_share: float = 0.02,
    ) -> Lexicon:
        """The most frequent pronunciations of each word; rarer than `min_share` of it are left."""
        entries: dict[str, dict[Phones, int]] = {}
        for word in sorted(counts):
            total = counts[word].total()
            ordered = sorted(counts[word].items(), key=lambda item: (-item[1], item[0]))
            kept = {p: n for p, n in ordered[:max_pronunciations] if n >= min_share * total}
            entries[word] = kept or dict(ordered[:1])
        return cls(entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, word: object) -> bool:
        return word in self.entries

    def best(self, word: str) -> Phones:
        """The most frequent pronunciation; KeyError for an unknown word."""
        return next(iter(self.entries[word]))

    def unknown_words(self, words: Iterable[str]) -> dict[str, int]:
        """Words outside the lexicon, with counts, the most frequent first."""
        counts = Counter(word for word in words if word not in self.entries)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def write(self, path: Path) -> None:
        """Write the file."""
        lines = [_HEADER]
        for word, pronunciations in sorted(self.entries.items()):
            lines.extend(f"{word}\t{' '.join(p)}\t{n}" for p, n in pronunciations.items())
        path.write_text("\n".join(lines) + "\n", "utf-8")

    @classmethod
    def read(cls, path: Path) -> Lexicon:
        """Read the file; the count column may be absent. ValueError names the bad line."""
        entries: dict[str, dict[Phones, int]] = {}
        for number, line in numbered_lines(path):
            if not line.strip() or (number == 1 and line == _HEADER):
                continue
            fields = line.split("\t")
            if len(fields) not in (2, 3) or not fields[0] or not fields[1].split():
                raise ValueError(
                    f"{path}:{number}: {line!r}; expected word, tab, phones separated by spaces, "
                    "and maybe a tab and a count"
                )
            if len(fields) == 3 and not _COUNT.fullmatch(fields[2]):
                raise ValueError(f"{path}:{number}: count {fields[2]!r}; expected a whole number")
            phones = tuple(fields[1].split())
            count = int(fields[2]) if len(fields) == 3 else 1
            pronunciations = entries.setdefault(fields[0], {})
            if phones in pronunciations:
                raise ValueError(f"{path}:{number}: {fields[0]!r} has this pronunciation twice")
            pronunciations[phones] = count
        if not entries:
            raise ValueError(f"{path}: no words; expected word, tab, phones on each line")
        return cls(entries)
