"""How well found segment boundaries hit the true ones: precision, recall, F1 and R-value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from unsup_asr.types import Seconds

_ROUNDING_S = 1e-6  # so that 0.32 s and 0.30 s lie within 0.02 s of each other in floating point


@dataclass(frozen=True)
class BoundaryScores:
    """Boundary detection over a set of utterances; fractions, not percent."""

    num_hits: int
    num_reference: int
    num_found: int
    tolerance_s: Seconds

    def __post_init__(self) -> None:
        if self.num_reference == 0:
            raise ValueError(
                "no reference boundary inside any utterance; boundary scores need time-aligned "
                "references with at least two phones"
            )

    @property
    def precision(self) -> float:
        """Share of the found boundaries that are true; 0 where none was found."""
        return self.num_hits / self.num_found if self.num_found else 0.0

    @property
    def recall(self) -> float:
        """Share of the true boundaries that were found (the hit rate)."""
        return self.num_hits / self.num_reference

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.num_hits / (self.num_found + self.num_reference)

    @property
    def r_value(self) -> float:
        """R-value, at most 1; unlike F1, finding too many boundaries does not raise it.

        Räsänen, Laine and Altosaar 2009: distance to perfect detection and to the line of no
        over-segmentation, from hit rate and over-segmentation rate.
        """
        hit_rate = self.recall
        over_segmentation = self.num_found / self.num_reference - 1
        to_ideal = np.hypot(1 - hit_rate, over_segmentation)
        to_line = abs(-over_segmentation + hit_rate - 1) / np.sqrt(2)
        return float(1 - (to_ideal + to_line) / 2)


def boundary_scores(
    pairs: Iterable[tuple[Sequence[Seconds], Sequence[Seconds]]], tolerance_s: Seconds = 0.02
) -> BoundaryScores:
    """Scores over utterances, each a pair (reference times, found times), in seconds, ascending.

    A reference boundary and a found one within `tolerance_s` are a hit; each takes part in one hit
    at most, and the number of hits is the largest possible. The ends of an utterance say nothing
    about detection: times within `tolerance_s` of 0 or of the end (the latest time on either side)
    do not count.
    """
    num_hits = num_reference = num_found = 0
    for position, (reference_times, found_times) in enumerate(pairs):
        _check_ascending(reference_times, f"reference boundaries of pair {position}")
        _check_ascending(found_times, f"found boundaries of pair {position}")
        end = max([*reference_times[-1:], *found_times[-1:]], default=0.0)
        reference = _inside(reference_times, end=end, margin_s=tolerance_s)
        found = _inside(found_times, end=end, margin_s=tolerance_s)
        num_hits += _count_hits(reference, found, tolerance_s=tolerance_s)
        num_reference += len(reference)
        num_found += len(found)
    return BoundaryScores(num_hits, num_reference, num_found, tolerance_s)


def phone_boundaries(starts_s: Sequence[Seconds], ends_s: Sequence[Seconds]) -> tuple[Seconds, ...]:
    """All edges of aligned phones, ascending; an end and the next start that meet are one edge."""
    edges: list[Seconds] = []
    for time in sorted([*starts_s, *ends_s]):
        if not edges or time - edges[-1] > 1e-3:  # alignments are given to the millisecond
            edges.append(time)
    return tuple(edges)


def _inside(times: Sequence[Seconds], *, end: Seconds, margin_s: Seconds) -> list[Seconds]:
    low, high = margin_s + _ROUNDING_S, end - margin_s - _ROUNDING_S
    return [time for time in times if low < time < high]


def _count_hits(
    reference: Sequence[Seconds], found: Sequence[Seconds], *, tolerance_s: Seconds
) -> int:
    """Largest one-to-one matching; on a line, pairing the earliest possible pairs is optimal."""
    hits = i = j = 0
    while i < len(reference) and j < len(found):
        if abs(reference[i] - found[j]) <= tolerance_s + _ROUNDING_S:
            hits, i, j = hits + 1, i + 1, j + 1
        elif found[j] < reference[i]:
            j += 1
        else:
            i += 1
    return hits


def _check_ascending(times: Sequence[Seconds], what: str) -> None:
    values = np.asarray(times, dtype=np.float64)
    if not np.isfinite(values).all() or np.any(np.diff(values) < 0) or np.any(values < 0):
        raise ValueError(
            f"{what} are not ascending times in seconds from 0: found {values[:8].tolist()}...; "
            "sort them, and count from the start of the audio"
        )
