"""What each turn of the loop of game, HMM and new boundaries reached (Chen et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Iteration:
    """PER in percent on the test set; boundary F1 at 20 ms of the segments that the turn began
    with and of the HMM's alignment at its end, None without aligned references.
    """

    matching_per: float
    gan_per: float
    hmm_per: float
    hmm_criterion: float
    f1_before: float | None
    f1_after: float | None


def iteration_cells(iterations: Sequence[Iteration]) -> tuple[list[str], list[list[str]]]:
    """Column names, and one line a turn."""
    header = ["iteration", "boundary F1", "matching", "gan", "hmm", "criterion", "F1 of the hmm"]
    lines = [
        [
            str(number),
            _fraction(turn.f1_before),
            f"{turn.matching_per:.1f}",
            f"{turn.gan_per:.1f}",
            f"{turn.hmm_per:.1f}",
            f"{turn.hmm_criterion:.1f}",
            _fraction(turn.f1_after),
        ]
        for number, turn in enumerate(iterations, start=1)
    ]
    return header, lines


def _fraction(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
