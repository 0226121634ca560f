"""Which run of a sweep is chosen, and what its table says."""

from __future__ import annotations

import json

from unsup_asr.report.sweep import SweepRow, chosen_row, regret, sweep_json, sweep_table


def row(number: int, criterion: float | None = 10.0, **known: object) -> SweepRow:
    facts = {"run": f"r{number}", "num_signs": 0, "bigram_divergence": 0.02, **known}
    options = ("gan=w2vu", f"seed={number}")
    return SweepRow(number=number, options=options, criterion=criterion, **facts)  # pyright: ignore


def test_the_lowest_criterion_of_the_sound_runs_is_chosen() -> None:
    rows = [row(0, 30.0), row(1, 5.0, num_signs=2), row(2, 12.0), row(3, None, error="no disk")]
    chosen = chosen_row(rows)
    assert chosen is not None
    assert chosen.number == 2


def test_near_criteria_are_told_apart_by_the_bigrams() -> None:
    rows = [row(0, 10.0, bigram_divergence=0.05), row(1, 10.4, bigram_divergence=0.01)]
    chosen = chosen_row([*rows, row(2, 10.6, bigram_divergence=0.001)])
    assert chosen is not None
    assert chosen.number == 1  # run 2 is more than 5 % off


def test_where_all_have_failed_one_is_chosen_still_and_without_a_model_none() -> None:
    chosen = chosen_row([row(0, 30.0, num_signs=1), row(1, 20.0, num_signs=3)])
    assert chosen is not None
    assert chosen.number == 1
    assert chosen_row([row(0, None)]) is None
    assert chosen_row([]) is None


def test_the_choice_never_reads_a_rate() -> None:
    rows = [row(0, 10.0, per=50.0), row(1, 20.0, per=5.0)]
    chosen = chosen_row(rows)
    assert chosen is not None
    assert chosen.number == 0
    assert regret(rows, chosen) == 45.0
    assert regret([row(0)], row(0)) is None


def test_the_table_shows_what_differs_and_names_what_failed() -> None:
    rows = [row(0, per=7.0), row(1, None, error="stage gan: no (x.log)", num_signs=None)]
    lines = sweep_table(rows, rows[0])
    assert "gan=w2vu" not in "\n".join(lines)
    assert lines[2].startswith("*    0  seed=0")
    assert "7.0" in lines[2]
    assert "failed: stage gan: no (x.log)" in lines[3]
    assert "0.0 points above the lowest" in lines[-1]
    found = json.loads(sweep_json(rows, rows[0]))
    assert found["chosen"] == 0
    assert found["runs"][1]["error"] == "stage gan: no (x.log)"
    assert "PER" not in sweep_table([row(0), row(1)], None)[0]
