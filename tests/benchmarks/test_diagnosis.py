"""Limits are set on half of the languages and judged on the other."""

import pytest

from benchmarks.diagnosis import Judged, Run, best_limit, halves, judge, limits


def run(language: str, number: float, *, good: bool) -> Run:
    return Run(
        name=f"small_{language}_0",
        language=language,
        per=10.0,
        null=80.0,
        supervised=5.0,
        works=True,
        good=good,
        alarms=0,
        numbers={"final: JS 2 above the text's": number},
    )


RUNS = [
    run("a", 0.01, good=True),
    run("b", 0.02, good=True),
    run("c", 0.09, good=False),
    run("d", 0.04, good=False),
    run("e", 0.05, good=True),
]


def js(of: Run) -> float:
    return of.numbers["final: JS 2 above the text's"]


def test_every_other_language_sets_limits_and_both_seeds_of_one_go_together() -> None:
    setting, judging = halves([*RUNS, run("b", 0.5, good=False)])
    assert [r.language for r in setting] == ["a", "c", "e"]
    assert [r.language for r in judging] == ["b", "d", "b"]


def test_a_limit_is_midway_where_it_errs_least() -> None:
    setting, _ = halves(RUNS)
    assert best_limit(setting, js) == pytest.approx(0.07)
    assert judge(RUNS, js, 0.03) == Judged(hits=2, num_bad=2, false=1, num_good=3)
    assert judge(RUNS, js, 0.03).errors == 1


def test_hits_and_misses_of_the_other_half_are_shown() -> None:
    setting, judging = halves(RUNS)
    (cells,) = limits(setting, judging)
    limit, *counts = cells[1:]
    assert float(limit) == pytest.approx(0.07)
    assert counts == ["1 of 1", "0 of 2", "0 of 1", "0 of 1"]  # d is missed
