"""Words and sentences to phones through phonemizer and the espeak-ng of the espeakng-loader wheel.

In a sentence words change each other (`of the` is one group `ʌvðə`, `les enfants` has a liaison),
so sentences are phonemized whole, as they are written, and their phones divided among the words
afterwards. espeak-ng loses words of very long lines: such a line is said in pieces.
"""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import espeakng_loader
from phonemizer.backend import EspeakBackend
from phonemizer.backend.espeak.wrapper import EspeakWrapper
from phonemizer.separator import Separator

from lm.phonemized import PhonemizedLine, PhonemizedText, PhonemizeTally
from lm.word_division import Division, Phones, divide_among_words
from lm.written_lines import WrittenLine, written_line
from unsup_asr.speech.espeak_languages import languages, no_such_language
from unsup_asr.speech.phones import fold_espeak

logger = logging.getLogger(__name__)

_WORD_MARK = "|"
_SEPARATOR = Separator(phone=" ", word=_WORD_MARK, syllable="")
_LANGUAGE_FLAG = re.compile(r"\(([a-z][^()]*)\)")
_NO_MARKS = re.compile("(?!)")  # phonemizer takes no punctuation away
_BATCH_LINES = 4096
_PIECE_BYTES = 600  # of NFD; espeak-ng loses words from about 800 (Chinese) or 1500 (Korean) on


@dataclass(kw_only=True)
class EspeakPhonemizer:
    """espeak-ng phones, stress off, folded to the canonical inventory of `unsup_asr.speech.phones`.

    Each word type is phonemized alone at most once (`_alone` is the cache); sentences each time.
    Not safe for threads.
    """

    language: str = "en-us"

    def __post_init__(self) -> None:
        self._backend = _backend(self.language)
        self._alone: dict[str, tuple[Phones, ...]] = {}

    def phonemize_sentences(self, lines: Sequence[str]) -> list[list[Phones]]:
        """Phones of each word of each line, said in its sentence; one list a line."""
        return self.phonemize_text(lines).phones

    def phonemize_text(self, lines: Iterable[str]) -> PhonemizedText:
        """As `stream`, all lines at once, as they are written."""
        tally = PhonemizeTally()
        written = (written_line(line, self.language) for line in lines)
        return PhonemizedText(list(self.stream(written, tally)), tally)

    def stream(
        self, lines: Iterable[WrittenLine], tally: PhonemizeTally
    ) -> Iterator[PhonemizedLine]:
        """Phones of each word of each line, one line after the other; `tally` grows with them.

        ValueError at their end when no line has a phone.
        """
        for batch in _batches(lines, _BATCH_LINES):
            self._learn([word for line in batch for word in line.written_words])
            pieces = [list(line.pieces(_PIECE_BYTES)) for line in batch]
            said = iter(self._say([piece.text for of_line in pieces for piece in of_line]))
            for line, of_line in zip(batch, pieces, strict=True):
                parts = [self._divide(piece, next(said)) for piece in of_line]
                phonemized = PhonemizedLine(
                    line.text,
                    line.stored_words,
                    [spoken for part in parts for spoken in part.phones],
                    is_doubtful=any(part.is_doubtful for part in parts),
                    is_redivided=any(part.is_redivided for part in parts),
                    is_in_pieces=len(parts) > 1 or any(part.is_mended for part in parts),
                    is_mended=any(part.is_mended for part in parts),
                    switched=sum(part.switched for part in parts),
                )
                tally.add(phonemized)
                yield phonemized
        counts = tally.counts
        if counts.num_silent_lines == counts.num_lines:
            found = list(tally.failed_words) or ["empty lines"]
            raise ValueError(
                _nothing_phonemizable(f"{counts.num_lines} lines", found, self.language)
            )
        logger.info("phonemized: %s", counts)

    def _divide(self, line: WrittenLine, said: _Said) -> _Part:
        """A line's phones by word; where espeak-ng lost some, each half is said by itself."""
        alone = [self._alone[word] for word in line.written_words]
        if len(said.groups) == len(alone) and all(len(groups) == 1 for groups in alone):
            return _Part(said.groups, switched=said.switched)
        division: Division = divide_among_words(alone, said.groups)
        if not division.has_lost_words or len(line.tokens) < 2:
            return _Part(
                division.phones,
                switched=said.switched,
                is_redivided=True,
                is_doubtful=division.is_doubtful,
            )
        middle = len(line.tokens) // 2
        halves = [line[:middle], line[middle:]]
        texts = self._say([half.text for half in halves])
        first, second = map(self._divide, halves, texts)
        return _Part(
            [*first.phones, *second.phones],
            switched=first.switched + second.switched,
            is_redivided=True,
            is_doubtful=first.is_doubtful or second.is_doubtful,
            is_mended=True,
        )

    def _learn(self, words: Sequence[str]) -> None:
        """Phonemize, alone, the words that were not seen yet."""
        new = [word for word in dict.fromkeys(words) if word not in self._alone]
        for word, said in zip(new, self._say(new), strict=True):
            self._alone[word] = tuple(said.groups)

    def _say(self, texts: list[str]) -> list[_Said]:
        if not texts:
            return []
        spoken = self._backend.phonemize(texts, separator=_SEPARATOR, strip=True, njobs=1)
        assert len(spoken) == len(texts), "phonemizer returned another number of lines"
        own = self.language.partition("-")[0]
        return [_parse(line, own) for line in spoken]


@dataclass(frozen=True)
class _Said:
    """Folded phones of the spoken groups of a text, and how many are of another language."""

    groups: list[Phones]
    switched: int


@dataclass(frozen=True)
class _Part:
    """Phones of each word of a part of a line, and what happened to it."""

    phones: list[Phones]
    switched: int = 0
    is_redivided: bool = False
    is_doubtful: bool = False
    is_mended: bool = False


def _batches(lines: Iterable[WrittenLine], size: int) -> Iterator[list[WrittenLine]]:
    remaining = iter(lines)
    while batch := list(itertools.islice(remaining, size)):
        yield batch


def _parse(line: str, own_language: str) -> _Said:
    if "(" not in line:
        return _Said(_groups(line), 0)
    groups: list[Phones] = []
    switched, is_own = 0, True
    for i, part in enumerate(_LANGUAGE_FLAG.split(line)):  # what is said, flag, what is said...
        if i % 2:
            is_own = part.partition("-")[0] == own_language
            continue
        found = _groups(part)
        switched += 0 if is_own else len(found)
        groups += found
    return _Said(groups, switched)


def _groups(line: str) -> list[Phones]:
    groups = [_fold_group(group) for group in line.split(_WORD_MARK)]
    return [group for group in groups if group]


@lru_cache(maxsize=1 << 17)
def _fold_group(group: str) -> Phones:
    return tuple(folded for phone in group.split() for folded in fold_espeak(phone))


def _backend(language: str) -> EspeakBackend:
    EspeakWrapper.set_library(espeakng_loader.get_library_path())
    EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    if language not in languages():
        raise ValueError(no_such_language(language))
    quiet = logging.getLogger(f"{__name__}.backend")
    quiet.setLevel(logging.ERROR)  # switches are counted here instead
    return EspeakBackend(
        language,
        punctuation_marks=_NO_MARKS,
        with_stress=False,
        language_switch="keep-flags",
        words_mismatch="ignore",
        logger=quiet,
    )


def _nothing_phonemizable(found: str, first: Sequence[str], language: str) -> str:
    return (
        f"none of {found} has a word that espeak-ng can say in language {language!r} "
        f"(first: {', '.join(map(repr, first[:5]))}). Check the text's language and script"
    )
