"""The best word sequence under frame scores: exact Viterbi over a lexicon tree with word unigrams.

Every pronunciation is a path of phone nodes from the root of a tree; the end of a word leads back
to the root at the cost of its unigram. Words outside the lexicon pass through a phone loop with
bigram scores, entered at the cost of an unknown word. Each phone takes at least one frame. There is
no beam: all nodes of a batch of utterances move one frame at a time as one tensor. On a CPU each
core has a batch of its own; a GPU has one larger batch after another.

Axes: T frames, V phones, B batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch

from lm.lexicon_forward import LexiconSearch, Weights, bytes_at_once
from lm.lexicon_traceback import Alignment, trace_back
from lm.lexicon_tree import LexiconTree, Pronunciation, lexicon_tree
from unsup_asr import compute
from unsup_asr.ranges import NonNegative, OpenFraction, Positive, PositiveInt, Range, Real
from unsup_asr.types import Float32Array

_MOST_ON_CPU = 32
_MOST_ON_GPU = 512


@dataclass(frozen=True, kw_only=True)
class LexiconViterbi:
    """Weights of the search. `unknown_word` is the probability of a word outside the lexicon.

    `memory_gb` bounds what is searched at once, in all threads together, beside the scores that are
    given; one utterance is always searched, whatever it takes. It changes no result.
    """

    acoustic_scale: Positive = 0.5
    lm_scale: NonNegative = 1.0
    word_score: Real = 0.0
    unknown_word: OpenFraction = 1e-3
    min_count: PositiveInt = 1
    memory_gb: Annotated[float, Range(0.01, 1000)] = 1.0

    def tree(self, sentences: Iterable[Sequence[Pronunciation]], num_phones: int) -> LexiconTree:
        """Lexicon and unigrams out of phonemized sentences (homophones are one word)."""
        return lexicon_tree(
            sentences, num_phones, min_count=self.min_count, unknown_word=self.unknown_word
        )

    def decode(
        self,
        tree: LexiconTree,
        scores: Mapping[str, Float32Array],
        *,
        num_threads: int = 1,
        progress: Callable[[], None] = lambda: None,
    ) -> dict[str, Alignment]:
        """The best alignment of each utterance; `scores` (T, V) are scaled log likelihoods.

        `num_threads` batches are searched at a time on a CPU, which changes no result. `progress`
        is called once an utterance. ValueError for scores of no frames, or of other phones.
        """
        for utterance_id, score_TV in scores.items():
            if score_TV.shape[1:] != (tree.num_phones,) or not len(score_TV):
                raise ValueError(
                    f"utterance {utterance_id!r}: scores of shape {score_TV.shape}; expected one "
                    f"frame or more of {tree.num_phones} phones, as the lexicon has"
                )
        batches = self._batches(tree, {i: len(x) for i, x in scores.items()}, num_threads)
        weights = Weights(self.lm_scale, self.word_score)
        largest = max(map(len, batches), default=1)
        search = LexiconSearch(tree, weights, batch_size=largest)

        def decode(batch: list[str]) -> list[Alignment]:
            frames_TVB, lengths = self._padded([scores[i] for i in batch])
            with torch.no_grad():
                searched = search.run(frames_TVB)
            return trace_back(tree, weights, searched, frames_TVB, lengths)

        found: dict[str, Alignment] = {}
        with _map_in_threads(num_threads) as map_batches:
            for batch, alignments in zip(batches, map_batches(decode, batches), strict=True):
                found.update(zip(batch, alignments, strict=True))
                for _ in batch:
                    progress()
        return {i: found[i] for i in scores}

    def _batches(
        self, tree: LexiconTree, lengths: Mapping[str, int], num_threads: int
    ) -> list[list[str]]:
        """Utterances of similar lengths, as many as there is memory for, the longest first."""
        most = _MOST_ON_CPU if compute.device().type == "cpu" else _MOST_ON_GPU
        memory = self.memory_gb * 1e9 / (num_threads if most == _MOST_ON_CPU else 1)
        ids = sorted(lengths, key=lambda i: -lengths[i])
        batches: list[list[str]] = []
        while ids:
            size = most
            while size > 1 and bytes_at_once(tree, lengths[ids[0]], size) > memory:
                size -= 1
            batches.append(ids[:size])
            ids = ids[size:]
        return batches

    def _padded(self, scores: Sequence[Float32Array]) -> tuple[Float32Array, list[int]]:
        """Scaled scores (T, V, B) and how many frames each utterance has."""
        lengths = [len(score_TV) for score_TV in scores]
        frames_TVB = np.zeros((max(lengths), scores[0].shape[1], len(scores)), dtype=np.float32)
        for b, score_TV in enumerate(scores):
            np.multiply(
                score_TV, np.float32(self.acoustic_scale), out=frames_TVB[: len(score_TV), :, b]
            )
        return frames_TVB, lengths


@contextmanager
def _map_in_threads(num_threads: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """`map`, on a CPU in so many threads; a GPU is given work by this thread alone."""
    if compute.device().type != "cpu":
        yield map
        return
    with ThreadPoolExecutor(num_threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield pool.map
