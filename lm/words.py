"""Words, and their phones, out of frame posteriors: a lexicon tree and a word n-gram.

Axes: T frames, V phones.
"""

from __future__ import annotations

import copy
import itertools
import multiprocessing
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from lm.arpa import read_arpa
from lm.beam import check_posteriors
from lm.lexicon import Lexicon
from lm.score import file_digest
from lm.word_division import Phones
from lm.word_model import build_tree, build_word_ngram
from lm.word_search import WordPath, WordSearchSpace, search_words
from unsup_asr.ranges import NonNegative, PositiveInt, Real
from unsup_asr.speech.runs import run_starts
from unsup_asr.types import Float32Array
from unsup_asr.workers import end_with_parent

_UTTERANCES_A_BATCH = 32


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
    one phone. Silence may stand between words and at the ends, at `silence_score` each time.
    `phones_a_frame`: only so many best phones of a frame start new ones.
    """

    lexicon_path: str
    lm_path: str
    lm_weight: NonNegative = 1.0
    word_score: Real = 0.0
    beam: PositiveInt = 100
    nbest: PositiveInt = 1
    phones_a_frame: PositiveInt = 16
    blank: str | None = None
    silence_token: str | None = None
    silence_score: Real = 0.0

    def __post_init__(self) -> None:
        if self.beam < 1 or self.phones_a_frame < 1:
            raise ValueError(
                f"beam is {self.beam} and phones_a_frame {self.phones_a_frame}; expected >= 1"
            )
        if not 1 <= self.nbest <= self.beam:
            raise ValueError(
                f"nbest is {self.nbest} and beam {self.beam}; expected 1 <= nbest <= beam"
            )
        self._loaded: tuple[tuple[str, str, tuple[str, ...]], _Search] | None = None

    def decode(self, log_posteriors_TV: Float32Array, phones: Sequence[str]) -> DecodedSentence:
        """The best sentence of one utterance."""
        return self.decode_batch([log_posteriors_TV], phones)[0][0]

    def decode_batch(
        self,
        log_posteriors: Sequence[Float32Array],
        phones: Sequence[str],
        *,
        num_workers: int = 1,
    ) -> list[list[DecodedSentence]]:
        """The best sentences of each utterance, at most `nbest`, best first; in `num_workers`
        processes (1: in this one), whose number changes no result.
        """
        for i, scores_TV in enumerate(log_posteriors):
            check_posteriors(scores_TV, len(phones), i)
        by_length = sorted(range(len(log_posteriors)), key=lambda i: -len(log_posteriors[i]))
        size = _UTTERANCES_A_BATCH
        batches = [by_length[i : i + size] for i in range(0, len(by_length), size)]

        def take(batch: list[int]) -> list[Float32Array]:
            return [log_posteriors[i] for i in batch]

        def collect(results: Iterable[list[list[DecodedSentence]]]) -> list[list[DecodedSentence]]:
            pairs = zip(by_length, itertools.chain.from_iterable(results), strict=True)
            return [sentences for _, sentences in sorted(pairs, key=lambda pair: pair[0])]

        if num_workers == 1:
            run = self._search(tuple(phones)).run
            # torch's own threads cost more than they give on tensors of this size
            with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                return collect(pool.map(run, map(take, batches)))
        with ProcessPoolExecutor(
            num_workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
            initargs=(self, tuple(phones)),
        ) as pool:
            return collect(pool.map(_decode_in_worker, map(take, batches)))

    def reweighted(self, lm_weight: float, word_score: float) -> WordDecoder:
        """The same decoder with other weights; what is loaded is shared."""
        other = replace(self, lm_weight=lm_weight, word_score=word_score)
        if self._loaded is not None:
            key, search = self._loaded
            other._loaded = key, search.reweighted(lm_weight, word_score)
        return other

    def _search(self, phones: tuple[str, ...]) -> _Search:
        """The search for these phones; built again when a file's bytes have changed."""
        lexicon = Path(self.lexicon_path)
        if not lexicon.is_file():
            raise ValueError(f"{lexicon}: no such lexicon; expected word, tab, phones on each line")
        key = (file_digest(Path(self.lm_path)), file_digest(lexicon), phones)
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = (key, _Search(self, phones))
        return self._loaded[1]

    def __getstate__(self) -> dict[str, object]:
        """The options alone: a worker loads its own model."""
        return {**self.__dict__, "_loaded": None}


_worker: list[_Search] = []  # the search of this worker process


def _start_worker(options: WordDecoder, phones: tuple[str, ...]) -> None:
    end_with_parent()
    torch.set_num_threads(1)
    _worker[:] = [options._search(phones)]


def _decode_in_worker(log_posteriors: list[Float32Array]) -> list[list[DecodedSentence]]:
    return _worker[0].run(log_posteriors)


class _Search:
    """The search space of one lexicon, model and list of phones."""

    def __init__(self, options: WordDecoder, phones: tuple[str, ...]) -> None:
        for name, role in ((options.blank, "blank"), (options.silence_token, "silence_token")):
            if name is not None and name not in phones:
                raise ValueError(f"{role} {name!r} is not among the phones: {', '.join(phones)}")
        special = (options.blank, options.silence_token)
        columns = [i for i, phone in enumerate(phones) if phone not in special]
        ngram = build_word_ngram(read_arpa(Path(options.lm_path)), source=options.lm_path)
        tree = build_tree(
            Lexicon.read(Path(options.lexicon_path)),
            [phones[i] for i in columns],
            ngram,
            source=options.lexicon_path,
        )
        self._options = options
        self._phones = phones
        self._space = WordSearchSpace(
            tree=tree,
            ngram=ngram,
            columns_P=torch.tensor(columns),
            lm_weight=options.lm_weight,
            word_score=options.word_score,
            blank=None if options.blank is None else phones.index(options.blank),
            silence=(
                None if options.silence_token is None else phones.index(options.silence_token)
            ),
            silence_score=options.silence_score,
        )

    def reweighted(self, lm_weight: float, word_score: float) -> _Search:
        """The same space under other weights."""
        other = copy.copy(self)
        other._space = replace(self._space, lm_weight=lm_weight, word_score=word_score)
        return other

    def run(self, log_posteriors: list[Float32Array]) -> list[list[DecodedSentence]]:
        """The best sentences of each utterance; they are sorted from long to short."""
        paths = search_words(
            self._space,
            log_posteriors,
            beam=self._options.beam,
            phones_a_frame=self._options.phones_a_frame,
            nbest=self._options.nbest,
        )
        return [[self._sentence(path) for path in of_utterance] for of_utterance in paths]

    def _sentence(self, path: WordPath) -> DecodedSentence:
        symbols_T, words_T = path.symbols_T, path.words_T
        starts = run_starts(symbols_T)
        if self._space.blank is not None:
            starts = starts[symbols_T[starts] != self._space.blank]
        words: list[DecodedWord] = []
        pending: list[int] = []  # starts of the phones of the word that is not complete yet
        for t in starts:
            if symbols_T[t] != self._space.silence:
                pending.append(int(t))
            if words_T[t] >= 0:
                phones = tuple(self._phones[symbols_T[i]] for i in pending)
                word = self._space.tree.words[words_T[t]]
                words.append(DecodedWord(word, phones, tuple(pending)))
                pending = []
        phones = tuple(self._phones[symbols_T[t]] for t in starts)
        return DecodedSentence(phones, tuple(starts.tolist()), tuple(words), path.score)
