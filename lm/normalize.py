"""Which lines of a raw text are kept, in one script; what is dropped is counted."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields

from lm.other_languages import OtherLanguages
from lm.scripts import script_of_letter, scripts_of_language
from lm.written_lines import WrittenLine, written_line

logger = logging.getLogger(__name__)

_DIGIT_RULES = ("speak", "drop")


@dataclass(frozen=True)
class DroppedLines:
    """Lines of one text that were left out, by reason, and those that were kept."""

    empty: int = 0
    wrong_script: int = 0
    digits: int = 0
    other_language: int = 0
    too_short: int = 0
    too_long: int = 0
    duplicate: int = 0
    kept: int = 0

    @property
    def dropped(self) -> int:
        """All lines left out."""
        return sum(getattr(self, f.name) for f in fields(self)) - self.kept

    def __str__(self) -> str:
        reasons = [f"{getattr(self, f.name)} {f.name}" for f in fields(self) if f.name != "kept"]
        return f"{self.kept} lines kept, {self.dropped} dropped ({', '.join(reasons)})"


@dataclass(kw_only=True)
class TextNormalizer:
    """Lines as espeak-ng is to say them, each with its words (`written_line`).

    `digits`: "speak" leaves numbers to the phonemizer, "drop" drops the line. A line with a letter
    of a script that the language is not written in is dropped; so is one whose words are
    more probable in one of `other_languages` (none: no such check). Lengths are in words.
    """

    language: str = "en-us"
    min_words: int = 1
    max_words: int = 200
    digits: str = "speak"
    drop_duplicates: bool = False
    other_languages: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._others = (
            OtherLanguages(self.language, self.other_languages) if self.other_languages else None
        )
        if self.digits not in _DIGIT_RULES:
            raise ValueError(f"digits is {self.digits!r}; expected one of {_DIGIT_RULES}")
        if not 1 <= self.min_words <= self.max_words:
            raise ValueError(
                f"min_words is {self.min_words} and max_words {self.max_words}; "
                "expected 1 <= min_words <= max_words"
            )

    def normalize_line(self, line: str) -> WrittenLine:
        """What is said of the line, and its words; no word where nothing is left."""
        return written_line(line, self.language)

    def stream(self, lines: Iterable[str], counts: Counter[str]) -> Iterator[WrittenLine]:
        """The kept lines one by one; `counts` grows by `kept` or the reason of each drop.

        Memory is flat unless `drop_duplicates`, which keeps a hash of each line.
        """
        scripts = frozenset(scripts_of_language(self.language))
        seen: set[bytes] = set()
        for line in lines:
            normalized = self.normalize_line(line)
            reason = self._reason_to_drop(normalized, scripts)
            if reason is None and self.drop_duplicates:
                words = " ".join(normalized.stored_words)
                digest = hashlib.blake2b(words.encode(), digest_size=8).digest()
                reason = "duplicate" if digest in seen else None
                seen.add(digest)
            counts[reason or "kept"] += 1
            if reason is None:
                yield normalized

    def normalize_lines(
        self, lines: Iterable[str], *, source: str = "text"
    ) -> tuple[list[WrittenLine], DroppedLines]:
        """All kept lines in order, and the counts; otherwise as `checked_stream`."""
        counts: Counter[str] = Counter()
        kept = list(self.checked_stream(lines, counts, source=source))
        return kept, DroppedLines(**counts)

    def checked_stream(
        self, lines: Iterable[str], counts: Counter[str], *, source: str
    ) -> Iterator[WrittenLine]:
        """As `stream`; ValueError at the end when no line was kept. `source` names the text."""
        wrong: Counter[str] = Counter()
        yield from self.stream(_watch_scripts(lines, wrong), counts)
        dropped = DroppedLines(**counts)
        if not dropped.kept:
            raise ValueError(self._nothing_left(source, dropped, wrong))
        logger.info("%s: %s", source, dropped)

    def _reason_to_drop(self, line: WrittenLine, scripts: frozenset[str]) -> str | None:
        words = line.stored_words
        if not words:
            return "empty"
        characters = set(line.text)
        if any((s := script_of_letter(c)) is not None and s not in scripts for c in characters):
            return "wrong_script"
        if self.digits == "drop" and any(c.isnumeric() and not c.isalpha() for c in characters):
            return "digits"
        num_words = len(words)
        if self._others is not None and self._others.are_likelier(words):
            return "other_language"
        if num_words < self.min_words:
            return "too_short"
        return "too_long" if num_words > self.max_words else None

    def _nothing_left(self, source: str, dropped: DroppedLines, found: Counter[str]) -> str:
        expected = " or ".join(scripts_of_language(self.language))
        if dropped.wrong_script:
            return (
                f"{source}: wrong script: no line of {dropped.dropped} is written wholly in "
                f"{expected}, the script of language {self.language!r}; most letters are "
                f"{found.most_common(1)[0][0]}. Set language to that of the text"
            )
        return f"{source}: no line is left ({dropped}); expected one sentence a line"


def _watch_scripts(lines: Iterable[str], seen: Counter[str]) -> Iterator[str]:
    """The same lines; counts the scripts of the letters of the first hundred."""
    for i, line in enumerate(lines):
        if i < 100:
            seen.update(script for c in line if (script := script_of_letter(c)))
        yield line
