"""`report` of runs that have ended, were broken off, or stand behind one that was."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.unsup_asr.report.pages import words_of
from unsup_asr.cli import main
from unsup_asr.formats.hypotheses import write_hypotheses
from unsup_asr.formats.manifest import write_manifest
from unsup_asr.report.results import Results, SampleTranscript, row_from_counts
from unsup_asr.types import ErrorCounts, Hypothesis, Utterance

Printed = pytest.CaptureFixture[str]
KEY = "0123456789ab"


@pytest.fixture
def results() -> Results:
    row = row_from_counts([ErrorCounts(1, 1, 1, 10)] * 20, split="test", seed=0)
    return Results(
        **{"recipe": "mine", "seed": 0, "corpus": "mine", "test_digest": "0123", "num_phones": 3},
        **{"train_hours": 1.0, "num_train_speakers": 2, "js_divergence": {}, "wall_by_stage": {}},
        rows={"gan": replace(row, chosen=True)},
        samples=(SampleTranscript("u1", ("a", "b"), ("a",), (0.0, 0.2), (0.2, 0.5)),),
    )


def write_stages(root: Path) -> None:
    """A corpus of one utterance, and a game that has heard it."""
    corpus, gan = root / "corpus" / KEY, root / "gan" / KEY
    corpus.mkdir(parents=True)
    soundfile.write(corpus / "u1.wav", np.zeros(8000), 16000)
    write_manifest(corpus / "test.jsonl", [Utterance("u1", str(corpus / "u1.wav"), "s1", 0.5)])
    write_hypotheses(gan / "hypotheses" / "test.tsv", [Hypothesis("u1", ("a",), (0.0,), (0.4,))])
    for at, folder in enumerate((corpus, gan)):
        (folder / "stage.json").write_text('{"wall_s": 5, "peak_rss_mb": 100, "identity": "x"}')
        os.utime(folder / "stage.json", (at + 1, at + 1))


def write_run(root: Path, results: Results) -> None:
    write_stages(root)
    run = root / "runs" / "abcd"
    run.mkdir(parents=True)
    (run / "evaluate").mkdir()
    results.write(run / "evaluate" / "results.json")
    for stage in ("corpus", "gan"):
        (run / stage).symlink_to(root / stage / KEY)
    (root / "latest").symlink_to(run)


def break_off(root: Path, stage: str, error: str) -> None:
    partial = root / stage / f"{KEY}.partial"
    partial.mkdir(parents=True)
    (partial / "log.txt").write_text(f'Traceback (most recent call last):\n  File "x"\n{error}\n')


def page(folder: Path) -> str:
    return (folder / "report.html").read_text("utf-8")


def test_the_page_has_samples_with_what_was_said_and_found(
    tmp_path: Path, results: Results, capsys: Printed
) -> None:
    write_run(tmp_path / "mine", results)
    assert main(["report", "mine", "--exp", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "mine" / "report.html")
    text = page(tmp_path / "mine")
    assert text.count("<audio") == 1
    assert 'title="b, 0.20 to 0.50 s; missed">b</button>' in text
    assert "phones found by gan" in words_of(text)
    assert main(["report", "mine", "--exp", str(tmp_path), "--samples", "0"]) == 0
    assert "<audio" not in page(tmp_path / "mine")


def test_a_run_that_was_broken_off_has_a_page_of_what_it_left(
    tmp_path: Path, capsys: Printed
) -> None:
    write_stages(tmp_path / "mine")
    break_off(tmp_path / "mine", "self_training_1", "ValueError: no <labels>")
    assert main(["report", "mine", "--exp", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "mine: a stage broke, stage self_training_1" in said
    assert "scored" not in said, "whether there are references is not known yet"
    words = words_of(page(tmp_path / "mine"))
    assert "A stage broke: self_training_1" in words
    assert "ValueError: no <labels>" in words
    assert "unsup-asr validate mine" in words
    assert "<audio" in page(tmp_path / "mine")
    assert main(["report", "mine", "--exp", str(tmp_path), "--json"]) == 1
    assert "no results yet" in capsys.readouterr().err


def test_a_run_begun_since_is_said_above_the_one_that_has_ended(
    tmp_path: Path, results: Results, capsys: Printed
) -> None:
    write_run(tmp_path / "mine", results)
    break_off(tmp_path / "mine", "matching", "RuntimeError: lost")
    assert main(["report", "mine", "--exp", str(tmp_path)]) == 0
    said = "Of a run begun since then: a stage broke, matching. RuntimeError: lost"
    assert said in capsys.readouterr().out
    words = words_of(page(tmp_path / "mine"))
    assert words.startswith(said)
    assert "it makes 30 errors" in words


def test_one_run_of_several_can_be_named_by_its_folder(tmp_path: Path, results: Results) -> None:
    write_run(tmp_path / "mine", results)
    run = tmp_path / "mine" / "runs" / "abcd"
    assert main(["report", str(run)]) == 0
    assert "it makes 30 errors" in words_of(page(run))


@pytest.mark.parametrize("number", ["-1", "41", "ten"])
def test_a_wrong_number_of_samples_is_wrong_usage(number: str, capsys: Printed) -> None:
    try:
        code = main(["report", "mine", "--samples", number])
    except SystemExit as end:  # how argparse says it
        code = end.code
    assert code == 2
    assert "--samples" in capsys.readouterr().err


def test_several_runs_stand_on_one_page(tmp_path: Path, results: Results, capsys: Printed) -> None:
    write_run(tmp_path / "mine", results)
    write_run(tmp_path / "other", replace(results, recipe="other"))
    write_run(tmp_path / "third", replace(results, recipe="third", fold="none", num_phones=40))
    write_stages(tmp_path / "broken")
    break_off(tmp_path / "broken", "matching", "RuntimeError: lost")
    names = ["mine", "other", "third", "broken"]
    assert main(["report", *names, "--exp", str(tmp_path), "--html"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == str(tmp_path / "compared.html")
    assert sum(", scored on test (20 utterances)" in line for line in lines) == 2
    assert "broken: a stage broke, stage matching" in lines
    said = "third: scored under other conditions than mine, in num_phones. Their error rates do not"
    assert any(said in line for line in lines)
    text = (tmp_path / "compared.html").read_text("utf-8")
    words = words_of(text)
    assert said in words
    assert "mine, other: phone error rate" in words
    assert "broken: samples" in words
    assert text.count("<audio") == 3, "one for each of the three groups"


def test_runs_of_one_recipe_are_told_apart_and_one_named_twice_is_shown_once(
    tmp_path: Path, results: Results
) -> None:
    write_run(tmp_path / "mine", results)
    older = tmp_path / "mine" / "runs" / "ef01"
    (older / "evaluate").mkdir(parents=True)
    results.write(older / "evaluate" / "results.json")
    argv = ["report", "mine", str(older), str(tmp_path / "mine" / "runs" / "abcd")]
    page = tmp_path / "both.html"
    assert main([*argv, "--exp", str(tmp_path), "--html", str(page)]) == 0
    assert "<h1>2 runs side by side</h1>" in page.read_text("utf-8")
    assert "mine, mine ef01: phone error rate" in words_of(page.read_text("utf-8"))


def test_the_page_of_one_run_is_written_where_it_is_asked_for(
    tmp_path: Path, results: Results, capsys: Printed
) -> None:
    write_run(tmp_path / "mine", results)
    page = tmp_path / "mine.html"
    assert main(["report", "mine", "--exp", str(tmp_path), "--html", str(page)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(page)
    assert "it makes 30 errors" in words_of(page.read_text("utf-8"))
    assert not (tmp_path / "mine" / "report.html").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["mine", "--html", "other"], "--html other: expected a name that ends in .html"),
        (["mine", "other"], "several with --html or --results"),
        (["mine", "other", "--html", "--json"], "one recipe at a time"),
        (["mine", "none_such", "--html"], "no recipe named 'none_such'"),
        (["mine", "toy", "--html"], "nothing has run there"),
    ],
)
def test_what_cannot_be_shown_is_wrong_usage(
    tmp_path: Path, results: Results, options: list[str], says: str, capsys: Printed
) -> None:
    write_run(tmp_path / "mine", results)
    assert main(["report", *options, "--exp", str(tmp_path)]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "compared.html").exists()
