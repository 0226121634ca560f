"""The page of several runs: side by side where they compare, apart and with a warning elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.unsup_asr.report.page.test_run import EVIL
from tests.unsup_asr.report.pages import GOOD, SUSPECT, check_page, left_of, words_of
from tests.unsup_asr.report.test_samples import IDS, run_of
from unsup_asr.report.left import Left
from unsup_asr.report.page.runs import Shown, apart, groups_of, write_runs_page
from unsup_asr.report.results import Results, SampleTranscript
from unsup_asr.report.samples import in_order_of_choice
from unsup_asr.types import RunRecord


def shown(name: str, left: Left | Results, **facts: object) -> Shown:
    left = left_of(left) if isinstance(left, Results) else left
    given = {"folder": Path("exp") / name, "diagnosed": GOOD}
    return Shown(**{**given, **facts}, name=name, left=left)  # type: ignore[arg-type]


def page_of(folder: Path, *runs: Shown, num_samples: int = 3) -> str:
    write_runs_page(folder / "compared.html", runs, num_samples=num_samples)
    text = (folder / "compared.html").read_text("utf-8")
    check_page(text)
    return text


def worse(results: Results, points: float = 20.0) -> Results:
    final = results.rows["self_training"]
    row = replace(
        final,
        per=final.per + points,
        interval_low=final.interval_low + points,
        interval_high=final.interval_high + points,
    )
    return replace(results, rows={**results.rows, "self_training": row})


def test_runs_that_compare_stand_side_by_side(tmp_path: Path, results: Results) -> None:
    record = RunRecord("unsup-asr run b seed=1", "abc+", "2026-01-02")
    text = page_of(
        tmp_path,
        shown("a", results),
        shown("b", worse(results), diagnosed=SUSPECT, record=record),
    )
    words = words_of(text)
    assert "a makes the fewest errors, 25.0 %; then b, 45.0 %." in words
    assert "intervals overlap" not in words
    assert "do not compare" not in words
    assert "self_training of a: PER 25.0 %" in text
    assert "self_training of b: PER 45.0 %" in text
    assert "a, b: phone error rate" in words
    assert "25.0 [24.0, 26.0] 45.0 [44.0, 46.0]" in words
    assert "b: 2 signs of failure, and what to do next" in words
    assert "2026-01-02 abc+ unsup-asr run b seed=1" in words
    words = words_of(page_of(tmp_path, shown("a", worse(results, 0.5)), shown("b", results)))
    assert "b makes the fewest errors, 25.0 %; then a, 25.5 %." in words
    assert "Their intervals overlap, so that other seeds may turn the order." in words


@pytest.mark.parametrize(
    ("change", "named"),
    [({"test_digest": "f" * 12}, "test_digest"), ({"fold": "none"}, "fold")],
)
def test_runs_scored_otherwise_stand_apart_with_a_warning(
    tmp_path: Path, results: Results, change: dict[str, str], named: str
) -> None:
    other = replace(results, **change)
    runs = [shown("a", results), shown("b", other), shown("c", results)]
    assert [[run.name for run in group] for group in groups_of(runs)] == [["a", "c"], ["b"]]
    words = words_of(page_of(tmp_path, *runs))
    warning = f"b: scored under other conditions than a, in {named}. Their error rates do not"
    assert words.index(warning) < words.index("What came of each")
    assert "a, c: phone error rate" in words
    assert "b: phone error rate" in words


def test_a_run_without_references_is_shown_by_criterion_and_signs(
    tmp_path: Path, results: Results
) -> None:
    stages = run_of(tmp_path / "exp", system="matching")
    mine = Left(
        name="mine",
        stages=stages,
        results=None,
        criteria={"matching": 12.5},
        signs=results.signs,
    )
    runs = [shown("mine", mine), shown("a", results)]
    assert [[run.name for run in group] for group in groups_of(runs)] == [["a"], ["mine"]]
    assert apart(groups_of(runs)) == ["mine: without an error rate, so nothing to compare it by"]
    text = page_of(tmp_path, *runs)
    words = words_of(text)
    assert "There is no sign that it failed, which is no proof 12.5 0" in words
    assert "mine: from system to system" in words
    assert "mine: phone error rate" not in words
    assert "<td class=left>mine</td><td class=left>matching</td><td>18.0</td>" in text
    assert text.count("<audio") == 3


def test_samples_of_runs_that_compare_have_one_wave_and_a_row_each(
    tmp_path: Path, results: Results
) -> None:
    kept = tuple(SampleTranscript(i, ("a", "b"), (), (0.0, 0.2), (0.1, 0.3)) for i in IDS)
    lefts = {
        name: replace(
            left_of(replace(results, samples=kept)),
            stages=run_of(tmp_path / name, phone=phone),
        )
        for name, phone in (("one", "a"), ("other", "c"))
    }
    text = page_of(tmp_path, *(shown(name, left) for name, left in lefts.items()), num_samples=2)
    words = words_of(text)
    assert text.count("<audio") == 2
    for i in in_order_of_choice(IDS)[:2]:
        assert f"{i} 1.0 s, speaker s, PER of one 50 %, PER of other 100 %" in words
    for row in ("phones said", "phones found by one", "phones found by other"):
        assert text.count(f'role="group" aria-label="{row}"') == 2


def test_no_page_is_larger_for_its_groups(
    tmp_path: Path, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unsup_asr.report.page.runs.MOST_BYTES", 130_000)  # four of 32 kB
    kept = tuple(SampleTranscript(i, ("a",), ()) for i in IDS)
    runs = [
        shown(
            name,
            replace(
                left_of(replace(results, samples=kept, fold=name)), stages=run_of(tmp_path / name)
            ),
        )
        for name in ("one", "other")
    ]
    assert page_of(tmp_path, *runs, num_samples=10).count("<audio") == 4


def test_markup_in_names_is_text(tmp_path: Path, results: Results) -> None:
    evil = replace(results, recipe=EVIL, corpus=EVIL, fold=EVIL)
    record = RunRecord(EVIL, EVIL, EVIL)
    broken = replace(SUSPECT, state="broken", stage=EVIL, error=EVIL, commands=(EVIL,))
    runs = [
        shown(EVIL, evil, record=record, diagnosed=broken),
        shown(f"{EVIL} 2", Left(name=EVIL, stages={}, results=None), diagnosed=broken),
        shown("third", results),
    ]
    assert words_of(page_of(tmp_path, *runs)).count(EVIL) > 10
