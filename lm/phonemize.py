"""Words and sentences to phones through phonemizer and the espeak-ng of the espeakng-loader wheel.

In a sentence words change each other (`of the` is one group `ʌvðə`, `les enfants` has a liaison),
so sentences are phonemized whole, and their phones divided among the words afterwards.
"""

from __future__ import annotations

import difflib
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
from lm.word_division import Phones, divide_among_words
from unsup_asr.speech.phones import fold_espeak

logger = logging.getLogger(__name__)

_WORD_MARK = "|"
_SEPARATOR = Separator(phone=" ", word=_WORD_MARK, syllable="")
_LANGUAGE_FLAG = re.compile(r"\([a-z][^()]*\)")
_BATCH_LINES = 4096


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

    def phonemize_words(self, words: Iterable[str]) -> dict[str, Phones]:
        """Phones of each word type said alone; failures have the empty tuple.

        ValueError when no word at all has phones, naming the first ones.
        """
        wanted = list(dict.fromkeys(words))
        self._learn(wanted)
        phones = {w: tuple(p for group in self._alone[w] for p in group) for w in wanted}
        failed = [word for word in wanted if not phones[word]]
        if failed:
            logger.warning(
                "%d of %d words have no phones in language %r (first: %s)",
                len(failed),
                len(wanted),
                self.language,
                ", ".join(map(repr, failed[:5])),
            )
        if wanted and len(failed) == len(wanted):
            raise ValueError(_nothing_phonemizable(f"{len(wanted)} words", failed, self.language))
        return phones

    def phonemize_sentences(self, lines: Sequence[str]) -> list[list[Phones]]:
        """Phones of each word of each line, said in its sentence; one list a line."""
        return self.phonemize_text(lines).phones

    def phonemize_text(self, lines: Iterable[str]) -> PhonemizedText:
        """As `stream`, all lines at once."""
        tally = PhonemizeTally()
        return PhonemizedText(list(self.stream(lines, tally)), tally)

    def stream(self, lines: Iterable[str], tally: PhonemizeTally) -> Iterator[PhonemizedLine]:
        """Phones of each word of each line, one line after the other; `tally` grows with them.

        `lines` are normalised: words with single spaces. ValueError at their end when no line has
        a phone.
        """
        for batch in _batches(lines, _BATCH_LINES):
            split = [line.split() for line in batch]
            self._learn([word for line in split for word in line])
            for words, (groups, switched) in zip(split, self._groups(batch), strict=True):
                line, redivided = self._divide(words, groups)
                tally.add(line, redivided=redivided, switched=switched)
                yield line
        counts = tally.counts
        if counts.num_silent_lines == counts.num_lines:
            found = list(tally.failed_words) or ["empty lines"]
            raise ValueError(
                _nothing_phonemizable(f"{counts.num_lines} lines", found, self.language)
            )
        logger.info("phonemized: %s", counts)

    def _divide(self, words: list[str], groups: list[Phones]) -> tuple[PhonemizedLine, bool]:
        """Words with their phones, and whether the groups were not one a word."""
        alone = [self._alone[word] for word in words]
        if len(groups) == len(words) and all(len(pronounced) == 1 for pronounced in alone):
            return PhonemizedLine(words, groups, False), False
        phones, is_doubtful = divide_among_words(alone, groups)
        return PhonemizedLine(words, phones, is_doubtful), True

    def _learn(self, words: Sequence[str]) -> None:
        """Phonemize, alone, the words that were not seen yet."""
        new = [word for word in dict.fromkeys(words) if word not in self._alone]
        for word, (groups, _) in zip(new, self._groups(new), strict=True):
            self._alone[word] = tuple(groups)

    def _groups(self, lines: list[str]) -> list[tuple[list[Phones], bool]]:
        """Folded phones of each spoken group of a line; whether it switched language."""
        if not lines:
            return []
        spoken = self._backend.phonemize(lines, separator=_SEPARATOR, strip=True, njobs=1)
        assert len(spoken) == len(lines), "phonemizer returned another number of lines"
        return [_parse(line) for line in spoken]


def _batches(lines: Iterable[str], size: int) -> Iterator[list[str]]:
    remaining = iter(lines)
    while batch := list(itertools.islice(remaining, size)):
        yield batch


def _parse(line: str) -> tuple[list[Phones], bool]:
    switched = "(" in line and _LANGUAGE_FLAG.search(line) is not None
    if switched:
        line = _LANGUAGE_FLAG.sub(" ", line)
    groups = [_fold_group(group) for group in line.split(_WORD_MARK)]
    return [group for group in groups if group], switched


@lru_cache(maxsize=1 << 17)
def _fold_group(group: str) -> Phones:
    return tuple(folded for phone in group.split() for folded in fold_espeak(phone))


def _backend(language: str) -> EspeakBackend:
    EspeakWrapper.set_library(espeakng_loader.get_library_path())
    EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    supported = EspeakBackend.supported_languages()
    if language not in supported:
        wanted = language.lower()
        near = [
            code
            for code, name in supported.items()
            if code.split("-")[0] == wanted.split("-")[0] or wanted in name.lower()
        ]
        near += difflib.get_close_matches(wanted, supported, n=5, cutoff=0.5)
        names = list(dict.fromkeys(near)) or list(supported)
        raise ValueError(
            f"espeak-ng has no language {language!r}; near names: "
            f"{', '.join(f'{code} ({supported[code]})' for code in names)}. "
            "Codes are those of `espeak-ng --voices`"
        )
    quiet = logging.getLogger(f"{__name__}.backend")
    quiet.setLevel(logging.ERROR)  # switches are counted here instead
    return EspeakBackend(
        language,
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
