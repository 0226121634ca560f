"""What choices without labels cost."""

from __future__ import annotations

import pytest

from unsup_asr.report.regret import regret_line, regrets
from unsup_asr.report.results import Row, row_from_counts
from unsup_asr.types import ErrorCounts


def row(per: int, *, chosen: bool = False) -> Row:
    counts = [ErrorCounts(0, 0, per, 100)]
    return row_from_counts(counts, split="test", seed=0, chosen=chosen, criterion=None)


ROWS = {
    "matching": row(40, chosen=True),
    "matching+lm": row(30),
    "gan": row(37),
    "matching_2": row(20),
    "self_training_1": row(12),
    "self_training_2": row(10, chosen=True),
    "self_training": row(10, chosen=True),
    "supervised": row(5),
}


def test_a_choice_is_measured_against_what_it_could_have_taken() -> None:
    assert regrets(ROWS) == pytest.approx({"matching": 3.0, "self_training_2": 0.0})
    line = regret_line(ROWS)
    assert line is not None
    assert line.endswith("matching 3.0, self_training_2 0.0")


def test_nothing_chosen_costs_nothing() -> None:
    assert regret_line({"supervised": row(5)}) is None
