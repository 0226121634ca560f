"""Weight of the language model and score of an insertion, chosen without labels.

fairseq's rule for wav2vec-U (w2vu_generate.py; Baevski et al. 2021, unsupervised tuning):

    ln(max(perplexity, perplexity of text)) x max(distance from the unconstrained output, floor)

to be minimised. The first factor wants language, the second wants what was heard. With a floor of
0 the smallest weight always wins; .2 is near the share of phones that decoding rightly changes
(docs/decisions.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

from rapidfuzz.distance import Levenshtein

from lm.beam import BeamDecoder
from lm.greedy import decode_greedy
from lm.score import load
from unsup_asr.ranges import NonNegative, NonNegatives, Positive, Reals
from unsup_asr.types import Float32Array

Phones = tuple[str, ...]


@dataclass(frozen=True)
class Candidate:
    """One pair of options, what came out with them, and their criterion (lower is better)."""

    lm_weight: float
    insertion_score: float
    perplexity: float
    distance: float  # edits from the unconstrained output, a share of its length
    criterion: float
    transcripts: tuple[Phones, ...]


@dataclass(frozen=True, kw_only=True)
class LabelFreeTuning:
    """The grid, and the two floors; `text_perplexity` is that of text the model has not seen."""

    lm_weights: NonNegatives = field(default_factory=lambda: [0.1, 0.2, 0.3, 0.5, 0.7, 1.0])
    insertion_scores: Reals = field(default_factory=lambda: [-0.5, 0.0, 0.5, 1.0, 2.0])
    min_distance: NonNegative = 0.2
    text_perplexity: Positive = 1.0

    def __post_init__(self) -> None:
        if not self.lm_weights or not self.insertion_scores:
            raise ValueError("tuning has an empty grid; give at least one weight and one score")
        if self.min_distance <= 0:
            raise ValueError(
                f"min_distance is {self.min_distance}; expected above 0: at 0 the smallest weight "
                "wins whatever the output"
            )

    def candidates(
        self,
        decoder: BeamDecoder,
        log_posteriors: Sequence[Float32Array],
        phones: Sequence[str],
        *,
        progress: Callable[[], None] = lambda: None,
    ) -> list[Candidate]:
        """Every pair of the grid with the decoder's other options, best criterion first."""
        unconstrained = [
            decode_greedy(scores_TV, phones, blank=decoder.blank).phones
            for scores_TV in log_posteriors
        ]
        length = sum(map(len, unconstrained))
        if length == 0:
            raise ValueError("the unconstrained output is empty; nothing can be tuned on it")
        model = load(Path(decoder.lm_path))
        found = []
        for weight, insertion in product(self.lm_weights, self.insertion_scores):
            options = replace(decoder, lm_weight=weight, insertion_score=insertion)
            decoded = options.decode_batch(log_posteriors, phones)
            transcripts = tuple(hypotheses[0].phones for hypotheses in decoded)
            perplexity = model.perplexity(transcripts, with_eos=True)
            pairs = zip(transcripts, unconstrained, strict=True)
            distance = sum(Levenshtein.distance(a, b) for a, b in pairs) / length
            criterion = math.log(max(perplexity, self.text_perplexity)) * max(
                distance, self.min_distance
            )
            found.append(Candidate(weight, insertion, perplexity, distance, criterion, transcripts))
            progress()
        return sorted(found, key=lambda candidate: candidate.criterion)
