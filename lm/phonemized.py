"""What phonemizing gives: lines of words with their phones, and counts of all that happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from lm.word_division import Phones


@dataclass(frozen=True)
class PhonemizedLine:
    """`words[j]` of the line `text` is said as `phones[j]`, which may be empty.

    `is_doubtful`: their division is a guess; `is_mended`: espeak-ng lost words of the line, so it
    was said in pieces; `switched`: groups of phones that were said in another language.
    """

    text: str
    words: list[str]
    phones: list[Phones]
    is_doubtful: bool = False
    is_redivided: bool = False
    is_in_pieces: bool = False
    is_mended: bool = False
    switched: int = 0

    @property
    def is_foreign(self) -> bool:
        """Whether more of it than a borrowed word was said in another language."""
        return self.switched > max(1, 0.1 * len(self.words))


@dataclass(frozen=True)
class PhonemizeCounts:
    """What happened to the lines and words of one text."""

    num_lines: int = 0
    num_redivided: int = 0  # lines whose groups were not one a word; their phones are all kept
    num_doubtful: int = 0  # of these, lines whose division is a guess; not used for the lexicon
    num_silent_lines: int = 0  # lines without a phone
    num_switched: int = 0  # lines with words that espeak-ng says in another language
    num_foreign: int = 0  # of these, lines with more than a borrowed word
    num_mended: int = 0  # lines of which espeak-ng lost words, said in pieces instead
    num_silent_words: int = 0  # running words without a phone


@dataclass
class PhonemizeTally:
    """Counts that grow with every line, in memory that grows with the vocabulary alone.

    `failed_words`: words that gave no phone; `pronunciations`: how often each word was said how, in
    lines divided without doubt.
    """

    lines: Counter[str] = field(default_factory=Counter)
    failed_words: Counter[str] = field(default_factory=Counter)
    pronunciations: dict[str, Counter[Phones]] = field(default_factory=dict)

    def add(self, line: PhonemizedLine) -> None:
        """Count one line."""
        silent = [w for w, p in zip(line.words, line.phones, strict=True) if not p]
        self.failed_words.update(silent)
        self.lines["num_lines"] += 1
        self.lines["num_redivided"] += line.is_redivided
        self.lines["num_doubtful"] += line.is_doubtful
        self.lines["num_switched"] += line.switched > 0
        self.lines["num_foreign"] += line.is_foreign
        self.lines["num_mended"] += line.is_mended
        self.lines["num_silent_words"] += len(silent)
        self.lines["num_silent_lines"] += len(silent) == len(line.words)
        if not line.is_doubtful:
            for word, spoken in zip(line.words, line.phones, strict=True):
                if spoken:
                    self.pronunciations.setdefault(word, Counter())[spoken] += 1

    @property
    def counts(self) -> PhonemizeCounts:
        """The counts of lines so far."""
        return PhonemizeCounts(**self.lines)


@dataclass(frozen=True)
class PhonemizedText:
    """All lines of a text, and their tally."""

    lines: Sequence[PhonemizedLine]
    tally: PhonemizeTally

    @property
    def words(self) -> list[list[str]]:
        """Words of each line."""
        return [line.words for line in self.lines]

    @property
    def phones(self) -> list[list[Phones]]:
        """Phones of each word of each line."""
        return [line.phones for line in self.lines]

    @property
    def counts(self) -> PhonemizeCounts:
        """What happened to the lines."""
        return self.tally.counts

    @property
    def pronunciation_counts(self) -> dict[str, Counter[Phones]]:
        """How often each word was said how, in lines divided without doubt."""
        return self.tally.pronunciations
