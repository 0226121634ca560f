"""The score of a phone at which a decoder writes as much as the text says is spoken.

What a decoder is unsure of it leaves out, and a model that learns from its output leaves out more:
deletions grow from round to round while perplexity, which does not see what is missing, falls. So
each round's score is set anew, such that transcripts are as long, on average, as sentences of the
text. No label is needed, but text and speech have to be of one kind: where sentences are much
longer or shorter than utterances, take the balance out (null), as with the rate of segments.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any, TypeVar

from unsup_asr.ranges import Positive, PositiveInt, Real

log = logging.getLogger(__name__)

_Value = TypeVar("_Value")


@dataclass(frozen=True, kw_only=True)
class LengthBalance:
    """Options. `option`: the decoder's, a score for each phone (or word) in natural logs.

    It is sought between `lowest` and `highest` on `num_utterances` of the training audio, until
    their length is within `tolerance` of the `share` of the text's, a ratio.
    """

    option: str
    share: Positive = 1.0
    num_utterances: PositiveInt = 150
    lowest: Real = -2.0
    highest: Real = 8.0
    tolerance: Positive = 0.01

    def __post_init__(self) -> None:
        if not self.lowest < self.highest:
            raise ValueError(
                f"lowest is {self.lowest}, highest {self.highest}: expected lowest < highest"
            )

    def sample(self, utterances: Mapping[str, _Value]) -> dict[str, _Value]:
        """So many utterances, evenly out of all."""
        ids = list(utterances)
        step = max(1, len(ids) // self.num_utterances)
        return {i: utterances[i] for i in ids[::step][: self.num_utterances]}

    def score(self, mean_length: Callable[[float], float], wanted: float) -> float:
        """Where `mean_length`, which grows with the score, is `wanted`; else the nearest end."""
        low, high = self.lowest, self.highest
        goal = self.share * wanted
        score, found = 0.0, 0.0
        for _ in range(_MOST_STEPS):
            score = (low + high) / 2
            found = mean_length(score)
            if abs(found - goal) <= self.tolerance * goal:
                break
            low, high = (score, high) if found < goal else (low, score)
        log.info("%s %.2f: %.2f phones an utterance, %.2f wanted", self.option, score, found, goal)
        return score

    def options(self, score: float) -> dict[str, Any]:
        """What is set of the decoder."""
        return {self.option: score}


_MOST_STEPS = 10


def mean_length(transcripts: Sequence[Sized]) -> float:
    """Phones a transcript; 0 of none."""
    return sum(map(len, transcripts)) / max(1, len(transcripts))
