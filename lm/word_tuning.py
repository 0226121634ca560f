"""Weight of the language model and score of a word, chosen without labels.

fairseq's rule for wav2vec-U (see lm.tuning), with two changes for words: perplexity is a phone's,
not a word's, which short words would lower; and a factor keeps words as long as the text's:

    ln(perplexity a phone) x distance x (1 + 2 |ln(phones a word / the text's)|)

The distance is that of the words' phones from the unconstrained output. It needs no floor: the
lexicon keeps it from 0 (docs/decisions.md).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from rapidfuzz.distance import Levenshtein

from lm.greedy import decode_greedy
from lm.score import load
from lm.words import WordDecoder
from unsup_asr.ranges import NonNegatives, PositiveInt, Reals
from unsup_asr.types import Float32Array

logger = logging.getLogger(__name__)

WORST = 1e9  # the criterion where nothing was heard, or no word
_LENGTH_FACTOR = 2.0
_Words = tuple[str, ...]


@dataclass(frozen=True)
class WordCandidate:
    """One pair of options, their criterion (lower is better) and the words that came out.

    `phones_a_word` is a ratio to the text's.
    """

    lm_weight: float
    word_score: float
    perplexity: float
    distance: float
    phones_a_word: float
    criterion: float
    sentences: tuple[_Words, ...]


@dataclass(frozen=True, kw_only=True)
class LabelFreeWordTuning:
    """The grid, and how many utterances are decoded with each pair of it."""

    lm_weights: NonNegatives = field(default_factory=lambda: [0.1, 0.3, 0.5, 1.0])
    word_scores: Reals = field(default_factory=lambda: [-1.0, 0.0, 1.0])
    num_utterances: PositiveInt = 60

    def __post_init__(self) -> None:
        if not self.lm_weights or not self.word_scores:
            raise ValueError("tuning has an empty grid; give at least one weight and one score")
        if self.num_utterances < 1:
            raise ValueError(f"num_utterances is {self.num_utterances}; expected >= 1")

    def candidates(
        self,
        decoder: WordDecoder,
        log_posteriors: Sequence[Float32Array],
        phones: Sequence[str],
        *,
        phones_a_word: float,
        progress: Callable[[], None] = lambda: None,
    ) -> list[WordCandidate]:
        """Every pair of the grid, best criterion first; `phones_a_word` is the text's mean."""
        unconstrained = [
            decode_greedy(scores_TV, phones, blank=decoder.blank).phones
            for scores_TV in log_posteriors
        ]
        length = sum(map(len, unconstrained))
        if length == 0:  # of a run that failed: its report is wanted all the same
            logger.warning(
                "the unconstrained output is empty; weights cannot be tuned on it, and are the "
                "first of the grid. The system hears nothing: see what the diagnosis says of it"
            )
        model = load(Path(decoder.lm_path))
        decoder.decode(log_posteriors[0], phones)  # loads what the pairs of the grid share
        found = []
        for weight, score in product(self.lm_weights, self.word_scores):
            decoded = decoder.reweighted(weight, score).decode_batch(log_posteriors, phones)
            best = [sentences[0] for sentences in decoded]
            said = [tuple(p for word in s.words for p in word.phones) for s in best]
            sentences = tuple(tuple(word.word for word in s.words) for s in best)
            num_phones, num_words = sum(map(len, said)), sum(map(len, sentences))
            log10_probability = model.score_corpus(sentences).log10_probability
            perplexity = 10.0 ** (-log10_probability / (num_phones + len(sentences)))
            pairs = zip(said, unconstrained, strict=True)
            distance = sum(Levenshtein.distance(a, b) for a, b in pairs) / max(1, length)
            ratio = num_phones / max(1, num_words) / phones_a_word
            criterion = WORST
            if num_words and length:
                length_factor = 1 + _LENGTH_FACTOR * abs(math.log(ratio))
                criterion = math.log(perplexity) * distance * length_factor
            found.append(
                WordCandidate(weight, score, perplexity, distance, ratio, criterion, sentences)
            )
            progress()
        return sorted(found, key=lambda candidate: candidate.criterion)
