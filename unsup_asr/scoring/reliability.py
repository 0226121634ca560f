"""How often phones are right, by how sure the system is of them.

A phone is right if a cheapest alignment pairs it with an equal one of the reference. Sources:
Niculescu-Mizil and Caruana 2005 (diagrams), Naeini et al. 2015 (expected calibration error).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unsup_asr.scoring.metrics import align
from unsup_asr.types import Hypothesis, Transcript

_NUM_BINS = 10


@dataclass(frozen=True)
class Reliability:
    """Phones in bins of equal width of their confidence, from 0 to 1, those without any left out.

    Of each bin how many there are, their mean confidence and the share that is right.
    """

    counts: tuple[int, ...]
    confidences: tuple[float, ...]
    shares_right: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.counts) == len(self.confidences) == len(self.shares_right) > 0:
            raise ValueError(
                f"{len(self.counts)} counts, {len(self.confidences)} confidences and "
                f"{len(self.shares_right)} shares; expected one of each for a bin"
            )

    @property
    def expected_error(self) -> float:
        """Expected calibration error, 0 to 1: how far both are apart in the mean."""
        apart = np.abs(np.subtract(self.confidences, self.shares_right))
        return float(np.average(apart, weights=self.counts))


def reliability(
    references: Sequence[Transcript], hypotheses: Sequence[Hypothesis]
) -> Reliability | None:
    """Of all phones that have a confidence; None where none has."""
    said = {reference.utterance_id: reference.phones for reference in references}
    pairs = [
        (confidence, is_right)
        for found in hypotheses
        if found.utterance_id in said and found.confidences
        for confidence, is_right in zip(
            found.confidences, _right(said[found.utterance_id], found.phones), strict=True
        )
    ]
    if not pairs:
        return None
    confidences, are_right = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    bins = np.clip((confidences * _NUM_BINS).astype(int), 0, _NUM_BINS - 1)
    counts = np.bincount(bins, minlength=_NUM_BINS)
    there = np.flatnonzero(counts)
    return Reliability(
        tuple(counts[there].tolist()),
        tuple((np.bincount(bins, confidences)[there] / counts[there]).tolist()),
        tuple((np.bincount(bins, are_right)[there] / counts[there]).tolist()),
    )


def _right(reference: Sequence[str], hypothesis: Sequence[str]) -> list[bool]:
    """Whether each phone of the hypothesis is right."""
    pairs = align(reference, hypothesis)
    return [left == right for left, right in pairs if right is not None]
