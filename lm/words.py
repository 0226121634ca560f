"""Words, and their phones, out of frame posteriors: a lexicon tree and a word n-gram, flashlight's
beam search. It holds the interpreter's lock, so many utterances are shared among processes.

Axes: T frames, V phones.
"""

from __future__ import annotations

import contextlib
import logging
import math
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from flashlight.lib.text.decoder import (
    CriterionType,
    DecodeResult,
    LexiconDecoder,
    LexiconDecoderOptions,
    SmearingMode,
    Trie,
)
from flashlight.lib.text.decoder.kenlm import KenLM
from flashlight.lib.text.dictionary import Dictionary

from lm.lexicon import Lexicon
from lm.ngram_counts import UNKNOWN
from lm.score import file_digest
from lm.word_division import Phones
from unsup_asr.types import Float32Array

logger = logging.getLogger(__name__)

MAX_HOMOPHONES = 6  # words that one node of flashlight's tree can hold
_NO_BLANK = -1e5  # log posterior of the blank where there is none


@dataclass(frozen=True)
class DecodedWord:
    """A word, the phones it was said with, and the frame where each starts."""

    word: str
    phones: Phones
    start_frames: tuple[int, ...]


@dataclass(frozen=True)
class DecodedSentence:
    """All phones in order, silence among them, with start frames; the words; the score (ln)."""

    phones: Phones
    start_frames: tuple[int, ...]
    words: tuple[DecodedWord, ...]
    score: float


@dataclass(kw_only=True)
class WordDecoder:
    """Options. Score: log posteriors + lm_weight x ln p(words) + word_score a word.

    `blank` and `silence_token` name symbols among the phones; without a blank, equal neighbours are
    one phone. Silence may stand between words, at `silence_score` a frame. `beam_threshold`:
    hypotheses worse than the best by more are given up; `phones_a_frame`: best phones tried.
    """

    lexicon_path: str
    lm_path: str
    lm_weight: float = 1.0
    word_score: float = 0.0
    beam: int = 100
    beam_threshold: float = 50.0
    phones_a_frame: int = 16
    blank: str | None = None
    silence_token: str | None = None
    silence_score: float = 0.0

    def __post_init__(self) -> None:
        if self.beam < 1 or self.phones_a_frame < 1:
            raise ValueError(
                f"beam is {self.beam} and phones_a_frame {self.phones_a_frame}; expected >= 1"
            )
        self._loaded: tuple[tuple[str, str, tuple[str, ...]], _FlashlightSearch] | None = None

    def decode(self, log_posteriors_TV: Float32Array, phones: Sequence[str]) -> DecodedSentence:
        """The best sentence of one utterance."""
        return self._search(tuple(phones)).run(log_posteriors_TV)

    def decode_batch(
        self,
        log_posteriors: Sequence[Float32Array],
        phones: Sequence[str],
        *,
        num_workers: int = 1,
    ) -> list[DecodedSentence]:
        """The best sentence of each utterance, in `num_workers` processes (1: in this one)."""
        if num_workers == 1:
            search = self._search(tuple(phones))
            return [search.run(scores_TV) for scores_TV in log_posteriors]
        with ProcessPoolExecutor(
            num_workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
            initargs=(self, tuple(phones)),
        ) as pool:
            return list(pool.map(_decode_in_worker, log_posteriors, chunksize=8))

    def _search(self, phones: tuple[str, ...]) -> _FlashlightSearch:
        """The search for these phones; built again when a file's bytes have changed."""
        key = (file_digest(Path(self.lm_path)), file_digest(Path(self.lexicon_path)), phones)
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = (key, _FlashlightSearch(self, phones))
        return self._loaded[1]

    def __getstate__(self) -> dict[str, object]:
        """The options alone: a worker loads its own model."""
        return {**self.__dict__, "_loaded": None}


_worker: list[_FlashlightSearch] = []  # the search of this worker process


def _start_worker(options: WordDecoder, phones: tuple[str, ...]) -> None:
    _worker[:] = [options._search(phones)]


def _decode_in_worker(log_posteriors_TV: Float32Array) -> DecodedSentence:
    return _worker[0].run(log_posteriors_TV)


class _FlashlightSearch:
    """flashlight's objects for one lexicon, model and list of phones."""

    def __init__(self, options: WordDecoder, phones: tuple[str, ...]) -> None:
        for name, role in ((options.blank, "blank"), (options.silence_token, "silence_token")):
            if name is not None and name not in phones:
                raise ValueError(f"{role} {name!r} is not among the phones: {', '.join(phones)}")
        lexicon = Lexicon.read(Path(options.lexicon_path))
        self._phones = phones
        self._has_blank = options.blank is not None
        self._blank = len(phones) if options.blank is None else phones.index(options.blank)
        silence = options.silence_token
        self._silence = -1 if silence is None else phones.index(silence)
        spellings = _spellings(lexicon, phones, options.lexicon_path)
        self._dictionary = Dictionary([*lexicon.entries, UNKNOWN])
        with _quiet_stderr():
            self._lm = KenLM(options.lm_path, self._dictionary)
        start = self._lm.start(False)
        self._tree = Trie(len(phones) + (not self._has_blank), self._silence)
        for spelling, words in spellings.items():
            for word in words:
                index = self._dictionary.get_index(word)
                self._tree.insert(list(spelling), index, self._lm.score(start, index)[1])
        self._tree.smear(SmearingMode.MAX)
        self._decoder = LexiconDecoder(
            LexiconDecoderOptions(
                beam_size=options.beam,
                beam_size_token=options.phones_a_frame,
                beam_threshold=options.beam_threshold,
                lm_weight=options.lm_weight * math.log(10.0),  # flashlight's scores are log10
                word_score=options.word_score,
                unk_score=-math.inf,
                sil_score=options.silence_score,
                log_add=False,
                criterion_type=CriterionType.CTC,
            ),
            self._tree,
            self._lm,
            self._silence,
            self._blank,
            self._dictionary.get_index(UNKNOWN),
            [],
            False,
        )

    def run(self, log_posteriors_TV: Float32Array) -> DecodedSentence:
        """The best sentence."""
        num_frames, num_phones = log_posteriors_TV.shape
        if num_phones != len(self._phones) or num_frames == 0:
            raise ValueError(
                f"posteriors have shape {log_posteriors_TV.shape}; expected "
                f"(frames, {len(self._phones)}) with at least one frame"
            )
        if np.isnan(log_posteriors_TV).any():
            raise ValueError("posteriors hold NaN; look at the model's output")
        num_symbols = num_phones + (not self._has_blank)
        scores_TV = np.full((num_frames, num_symbols), _NO_BLANK, dtype=np.float32)
        scores_TV[:, :num_phones] = np.maximum(log_posteriors_TV, _NO_BLANK)
        results = self._decoder.decode(scores_TV.ctypes.data, num_frames, num_symbols)
        if not results:
            logger.warning("no path through the lexicon for an utterance of %d frames", num_frames)
            return DecodedSentence((), (), (), -math.inf)
        return self._sentence(results[0])

    def _sentence(self, result: DecodeResult) -> DecodedSentence:
        symbols_T = np.array(result.tokens[1:-1])  # first and last belong to no frame
        word_at_T = np.array(result.words[1:-1])  # a word stands where its last phone starts
        is_start_T = (np.diff(symbols_T, prepend=-1) != 0) & (symbols_T != self._blank)
        words: list[DecodedWord] = []
        starts: list[int] = []
        pending: list[int] = []  # starts of the phones of the word that is not complete yet
        for t in np.flatnonzero(is_start_T | (word_at_T >= 0)):
            if is_start_T[t]:
                starts.append(int(t))
                if symbols_T[t] != self._silence:
                    pending.append(int(t))
            if word_at_T[t] >= 0:
                words.append(self._word(int(word_at_T[t]), pending, symbols_T))
                pending = []
        phones = tuple(self._phones[symbols_T[t]] for t in starts)
        return DecodedSentence(phones, tuple(starts), tuple(words), float(result.score))

    def _word(self, index: int, starts: list[int], symbols_T: np.ndarray) -> DecodedWord:
        phones = tuple(self._phones[symbols_T[t]] for t in starts)
        return DecodedWord(self._dictionary.get_entry(index), phones, tuple(starts))


def _spellings(
    lexicon: Lexicon, phones: tuple[str, ...], source: str
) -> dict[tuple[int, ...], list[str]]:
    """Words of each spelling in phone ids, the most frequent first, at most MAX_HOMOPHONES."""
    ids = {phone: i for i, phone in enumerate(phones)}
    counted: dict[tuple[int, ...], dict[str, int]] = {}
    unspelled: list[str] = []
    for word, pronunciations in lexicon.entries.items():
        for spoken, count in pronunciations.items():
            if all(phone in ids for phone in spoken):
                counted.setdefault(tuple(ids[p] for p in spoken), {})[word] = count
            else:
                unspelled.append(word)
    if not counted:
        raise ValueError(
            f"{source}: no word can be spelled with the phones of the posteriors "
            f"({', '.join(phones[:10])}...); lexicon and model must share one inventory"
        )
    spellings = {
        spelling: sorted(words, key=lambda word: (-words[word], word))[:MAX_HOMOPHONES]
        for spelling, words in counted.items()
    }
    num_left = sum(len(counted[s]) - len(words) for s, words in spellings.items())
    if unspelled or num_left:
        logger.warning(
            "%s: left out %d pronunciations with phones the posteriors lack, and %d homophones "
            "beyond %d of one spelling",
            source,
            len(unspelled),
            num_left,
            MAX_HOMOPHONES,
        )
    return spellings


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """KenLM draws a progress bar on the C stream; errors come as exceptions all the same."""
    kept = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(null)
        os.close(kept)
