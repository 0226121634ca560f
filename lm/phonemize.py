"""Words and sentences to phones through phonemizer and the espeak-ng of the espeakng-loader wheel.

In a sentence words change each other (`of the` is one group `ʌvðə`, `les enfants` has a liaison),
so sentences are phonemized whole, and their phones divided among the words afterwards.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import espeakng_loader
from phonemizer.backend import EspeakBackend
from phonemizer.backend.espeak.wrapper import EspeakWrapper
from phonemizer.separator import Separator

from lm.word_division import Phones, divide_among_words
from unsup_asr.phones import fold_espeak

logger = logging.getLogger(__name__)

_WORD_MARK = "|"
_SEPARATOR = Separator(phone=" ", word=_WORD_MARK, syllable="")
_LANGUAGE_FLAG = re.compile(r"\([a-z][^()]*\)")
_BATCH_LINES = 4096


@dataclass(frozen=True)
class PhonemizeCounts:
    """What happened to the lines and words of one text."""

    num_lines: int = 0
    num_redivided: int = 0  # lines whose groups were not one a word; their phones are all kept
    num_doubtful: int = 0  # of these, lines whose division is a guess; not used for the lexicon
    num_silent_lines: int = 0  # lines without a phone
    num_switched: int = 0  # lines with words that espeak-ng says in another language
    num_silent_words: int = 0  # running words without a phone


@dataclass(frozen=True)
class PhonemizedText:
    """One entry a line: `words[i][j]` is said as `phones[i][j]`, which may be empty."""

    words: list[list[str]]
    phones: list[list[Phones]]
    is_doubtful: list[bool]
    counts: PhonemizeCounts
    failed_words: dict[str, int]  # words that gave no phone, with how often

    @property
    def pronunciation_counts(self) -> dict[str, Counter[Phones]]:
        """How often each word was said how, in lines divided without doubt."""
        counted: dict[str, Counter[Phones]] = {}
        for words, phones, doubtful in zip(self.words, self.phones, self.is_doubtful, strict=True):
            if not doubtful:
                for word, spoken in zip(words, phones, strict=True):
                    if spoken:
                        counted.setdefault(word, Counter())[spoken] += 1
        return counted


@dataclass(kw_only=True)
class EspeakPhonemizer:
    """espeak-ng phones, stress off, folded to the canonical inventory of `unsup_asr.phones`.

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

    def phonemize_text(self, lines: Sequence[str]) -> PhonemizedText:
        """As `phonemize_sentences`, with the words and all counts.

        `lines` are normalised: words with single spaces. ValueError when no line has a phone.
        """
        words: list[list[str]] = []
        phones: list[list[Phones]] = []
        doubtful: list[bool] = []
        counts: Counter[str] = Counter()
        failed: Counter[str] = Counter()
        for start in range(0, len(lines), _BATCH_LINES):
            batch = list(lines[start : start + _BATCH_LINES])
            split = [line.split() for line in batch]
            self._learn([word for line in split for word in line])
            for line_words, (groups, switched) in zip(split, self._groups(batch), strict=True):
                divided, is_doubtful = self._divide(line_words, groups, counts)
                silent = [w for w, p in zip(line_words, divided, strict=True) if not p]
                failed.update(silent)
                counts["num_lines"] += 1
                counts["num_switched"] += switched
                counts["num_silent_words"] += len(silent)
                counts["num_silent_lines"] += len(silent) == len(line_words)
                words.append(line_words)
                phones.append(divided)
                doubtful.append(is_doubtful)
        text = PhonemizedText(words, phones, doubtful, PhonemizeCounts(**counts), dict(failed))
        if text.counts.num_silent_lines == len(lines):
            found = list(failed) or ["empty lines"]
            raise ValueError(_nothing_phonemizable(f"{len(lines)} lines", found, self.language))
        logger.info("phonemized: %s", text.counts)
        return text

    def _divide(
        self, words: list[str], groups: list[Phones], counts: Counter[str]
    ) -> tuple[list[Phones], bool]:
        """Phones a word, and whether the division is doubtful."""
        alone = [self._alone[word] for word in words]
        if len(groups) == len(words) and all(len(pronounced) == 1 for pronounced in alone):
            return groups, False
        phones, is_doubtful = divide_among_words(alone, groups)
        counts["num_redivided"] += 1
        counts["num_doubtful"] += is_doubtful
        return phones, is_doubtful

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
