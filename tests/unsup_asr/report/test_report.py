import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.unsup_asr.report.pages import run_page, words_of
from unsup_asr.cli import main
from unsup_asr.report.markdown import results_markdown
from unsup_asr.report.results import SUPERB_ROW, Results
from unsup_asr.report.run import load_results
from unsup_asr.report.signs import Finding, write_findings, write_signs
from unsup_asr.report.tables import LayerWeights
from unsup_asr.report.terminal import ran_on, report_json, terminal_table, unscored_report
from unsup_asr.scoring.nulls import Nulls


@pytest.fixture
def experiment(tmp_path: Path, results: Results) -> Callable[[], Path]:
    """A function that lays out exp/toy as a finished run leaves it."""

    def build() -> Path:
        folder = tmp_path / "exp" / "toy"
        run = folder / "runs" / "012345678901"
        run.mkdir(parents=True)
        (folder / "latest").symlink_to(Path("runs", run.name))
        for age, (stage, wall_s, peak) in enumerate(
            [("features", 3.0, 100.0), ("corpus", 2.0, 300.5), ("evaluate", 1.25, 200.0)]
        ):
            payload = folder / stage / "abcdefabcdef"
            payload.mkdir(parents=True)
            record = payload / "stage.json"
            record.write_text(json.dumps({"wall_s": wall_s, "peak_rss_mb": peak, "more": 1}))
            os.utime(record, (1000 + age, 1000 + age))
            (run / stage).symlink_to(payload)
        results.write(folder / "latest" / "evaluate" / "results.json")
        return folder

    return build


def test_row_holds_rate_edits_and_an_interval_around_the_rate(results):
    row = results.rows["matching"]
    assert row.per == pytest.approx(45.0)  # 4 substitutions, half a deletion in 10 phones
    assert (row.insertions, row.deletions, row.substitutions) == (0, 50, 400)
    assert 43 < row.interval_low < 45 < row.interval_high < 47


def test_results_come_back_equal_from_disk(tmp_path, results):
    path = tmp_path / "results.json"
    results.write(path)
    again = Results.read(path)
    assert replace(again, confusion=None) == replace(results, confusion=None)
    assert again.confusion.labels == results.confusion.labels
    np.testing.assert_array_equal(again.confusion.counts_RH, results.confusion.counts_RH)
    assert list(again.rows) == list(results.rows)
    json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_results_of_a_version_that_knew_less_are_still_read(tmp_path, results):
    data = results.to_json()
    for key in ("iterations", "layer_weights", "audio_digest", "fold", "silence", "maps", "signs"):
        del data[key]
    for row in data["rows"].values():
        for key in ("decoding", "nulls", "works"):
            del row[key]
    old = Results.from_json(json.loads(json.dumps(data)))
    assert old.layer_weights is None
    assert (old.fold, old.silence, old.audio_digest) == ("", "", "")
    assert old.rows["matching"].decoding == ""
    assert old.rows["matching"].works is None
    assert "swap" not in terminal_table(old)
    assert "works" not in terminal_table(old)
    assert old.rows["matching"].per == results.rows["matching"].per


def test_layer_weights_come_back_equal_and_count_their_scale(results):
    weights = results.layer_weights
    assert LayerWeights.from_json(json.loads(json.dumps(weights.to_json()))) == weights
    assert weights.shares == pytest.approx((0.5, 0.125, 0.375))
    assert report_json(results)["layer_weights"]["shares"] == pytest.approx([0.5, 0.125, 0.375])
    assert "layer weights       5: 0.500, 12: 0.300, 0: 0.200" in terminal_table(results)
    with pytest.raises(ValueError, match="2 layers, 1 weights and 2 norms"):
        LayerWeights((0, 1), (1.0,), (1.0, 1.0))


def test_the_superb_row_is_supervised_and_says_what_it_is(tmp_path, results):
    rows = {SUPERB_ROW: replace(results.rows["supervised"], chosen=True), **results.rows}
    del rows["self_training"]
    with_superb = replace(results, rows=rows)
    assert with_superb.final_row == "matching"
    assert terminal_table(with_superb).splitlines()[0].endswith("5.0 %, SUPERB recipe 5.0 %; works")
    assert "not a SUPERB number" in terminal_table(with_superb)
    assert "SUPERB" not in terminal_table(results)
    assert "not a SUPERB number" in run_page(tmp_path, with_superb)
    assert report_json(with_superb)["superb_recipe_per"] == pytest.approx(5.0)
    assert report_json(results)["superb_recipe_per"] is None


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:-20], "not JSON"),
        (lambda text: text.replace('"seed"', '"sed"'), r"missing \['seed'\], unknown \['sed'\]"),
        (lambda text: text.replace('"per"', '"wer"'), "not the results of a run"),
        (lambda text: "[]", "expected one JSON object"),
    ],
)
def test_damaged_results_are_named_with_what_to_do(tmp_path, results, damage, message):
    path = tmp_path / "results.json"
    results.write(path)
    path.write_text(damage(path.read_text()))
    with pytest.raises(ValueError, match=rf"results\.json: .*{message}.*run `evaluate` again"):
        Results.read(path)


def test_a_row_cannot_hold_nan(results):
    with pytest.raises(ValueError, match="row with PER nan"):
        replace(results.rows["gan"], per=math.nan)


def test_final_system_is_self_training_else_the_last_chosen_never_the_supervised(results):
    assert results.final_row == "self_training"
    rows = {k: v for k, v in results.rows.items() if k != "self_training"}
    assert replace(results, rows=rows).final_row == "matching"
    rows["supervised"] = replace(rows["supervised"], chosen=True)
    assert replace(results, rows=rows).final_row == "matching"


def test_report_json_has_the_promised_keys_and_is_strict_json(results):
    report = json.loads(json.dumps(report_json(results), allow_nan=False))
    assert report["per"] == pytest.approx(
        {"matching": 45.0, "gan": 55.0, "self_training": 25.0, "supervised": 5.0}
    )
    assert report["unsupervised_per"] == pytest.approx(25.0)
    assert report["supervised_per"] == pytest.approx(5.0)
    assert report["boundary_f1"] == pytest.approx(160 / 210)
    expected = {
        "wall_s": 7.5,
        "peak_rss_mb": 512.0,
        "seed": 1,
        "num_phones": 40,
        "train_hours": 1.5,
        "num_train_speakers": 8,
    }
    assert {key: report[key] for key in expected} == expected
    assert report["criterion"]["gan"] is None
    assert report["chosen"] == ["matching", "self_training"]


def test_loaded_results_sum_wall_times_and_take_the_largest_memory(experiment):
    results = load_results(experiment())
    assert results.wall_by_stage == {"features": 3.0, "corpus": 2.0, "evaluate": 1.25}
    assert list(results.wall_by_stage) == ["features", "corpus", "evaluate"]  # as they finished
    assert results.wall_s == pytest.approx(6.25)
    assert results.peak_rss_mb == pytest.approx(300.5)


def test_a_run_without_results_says_what_to_run(tmp_path):
    with pytest.raises(ValueError, match=r"results\.json: no results yet.*unsup-asr run toy"):
        load_results(tmp_path / "toy")


def test_stages_that_do_not_belong_together_are_not_reported(experiment):
    folder = experiment()

    def record(stage: str, **facts: object) -> None:
        path = folder / "latest" / stage / "stage.json"
        path.write_text(json.dumps({"wall_s": 1, "peak_rss_mb": 1, **facts}))

    record("features", identity="now")
    record("evaluate", input_identities={"features": "now", "gone": "x"})
    assert load_results(folder).wall_s == 4
    record("features", identity="made again")
    with pytest.raises(ValueError, match=r"features was made again after evaluate.*-asr run toy"):
        load_results(folder)


def test_a_damaged_stage_record_is_named(experiment):
    folder = experiment()
    (folder / "latest" / "corpus" / "stage.json").write_text("{}")
    with pytest.raises(ValueError, match=r"corpus.stage\.json: damaged .*wall_s"):
        load_results(folder)


def test_terminal_table_is_aligned_and_marks_what_was_chosen(results):
    lines = terminal_table(results).splitlines()
    assert lines[0] == "toy, seed 1: unsupervised PER 25.0 %, supervised 5.0 %; works"
    by_system = {line[3:].split()[0]: line for line in lines[2:8] if len(line.split()) > 3}
    columns = [by_system[name] for name in results.rows]
    assert [line[0] for line in columns] == ["*", " ", "*", " "]
    assert len({line.index("test, 100 utterances") for line in columns}) == 1
    assert " 45.0 " in columns[0]
    assert " 5.0  40.0 " in columns[0]  # deletions, substitutions in percent
    assert " inf " in columns[1]
    text = "\n".join(lines)
    assert "by the unsupervised criterion (ln(LM perplexity) x UER)" in text
    assert "F1 0.762 (precision 0.727, recall 0.800), R-value 0.782 at 20 ms" in text
    assert lines[-1] == "  ! boundaries are poor: 1.4 segments a phone"


def test_the_rules_of_a_population_are_held_against_the_oracle(results: Results) -> None:
    lines = terminal_table(results).splitlines()
    by_rule = {line.lstrip("* ").split()[0]: line for line in lines if line.strip()}
    assert by_rule["weighted_perplexity"].startswith("*")
    assert by_rule["weighted_perplexity"].split()[-2:] == ["44.2", "5.8"]
    assert by_rule["two_steps"].endswith("38.5        the best")
    assert "(oracle)" in by_rule
    assert report_json(results)["population"]["members"][1]["weighted_perplexity"] == "inf"


def test_words_have_a_table_unknown_words_and_their_weights(
    results: Results, tmp_path: Path
) -> None:
    lines = terminal_table(results).splitlines()
    start = next(i for i, line in enumerate(lines) if "WER %" in line)
    assert lines[start + 2].split()[:2] == ["self_training", "75.0"]
    assert lines[start + 3].split()[:2] == ["supervised", "0.0"]
    text = "\n".join(lines)
    assert "50.0 % of the words said are not among the 2 of the lexicon (cat<, end)" in text
    assert "lm_weight 0.3, word_score 0 chosen without labels, WER 50.0 % on 12" in text
    report = report_json(results)
    assert report["wer"] == {"self_training": 75.0, "supervised": 0.0}
    assert (report["unsupervised_wer"], report["supervised_wer"]) == (75.0, 0.0)
    assert report["unknown_words"] == {"cat<": 1, "end": 1}
    html = run_page(tmp_path, results)
    assert ">Word error rate</h2>" in html
    assert "<span>cat&lt;</span><span>bat</span>" in html
    bare = replace(results, words=None)
    assert "WER" not in terminal_table(bare)
    assert report_json(bare)["unsupervised_wer"] is None


def test_turns_of_game_and_hmm_have_a_table(tmp_path: Path, results: Results):
    cells = ["1", "0.750", "50.0", "48.0", "33.3", "12.5"]
    table = terminal_table(results).split("Game, HMM, new boundaries")[1].splitlines()
    assert table[3].split() == cells
    page = run_page(tmp_path, results)
    assert "".join(f"<td>{cell}</td>" for cell in cells[1:]) in page
    without = replace(results, iterations=())
    assert "new boundaries" not in terminal_table(without)


def test_nulls_stand_beside_every_rate_in_every_report(tmp_path: Path, results: Results):
    lines = terminal_table(results).splitlines()
    by_system = {line[3:].split()[0]: line.split() for line in lines[2:8] if len(line.split()) > 3}
    assert lines[2].split()[6:9] == ["swap", "random", "works"]
    assert by_system["self_training"][6:9] == ["58.2", "63.0", "yes"]
    assert by_system["gan"][5:8] == ["58.2", "63.0", "no"]  # 55.0
    text = "\n".join(lines)
    assert "works: 33.2 points under its nulls: audio swap 58.2, random phones 63.0" in text
    assert "works: at least 5 points under both" in text
    page = run_page(tmp_path, results)
    assert "<td>58.2</td><td>63.0</td><td>yes</td>" in page
    assert "works: 33.2 points under its nulls" in page
    assert "works: at least 5 points under both" in page
    report = report_json(results)
    assert report["works"] is True
    assert report["working"]["gan"] is False
    assert report["nulls"]["gan"] == {"audio_swap": 58.25, "random_phones": 63.0}
    results.write(tmp_path / "results.json")
    rows = json.loads((tmp_path / "results.json").read_text("utf-8"))["rows"]
    assert (rows["self_training"]["works"], rows["gan"]["works"]) == (True, False)


def test_a_system_that_does_not_beat_its_nulls_is_not_called_working(
    tmp_path: Path, results: Results
) -> None:
    final = results.rows["self_training"]
    close = replace(final, nulls=Nulls(audio_swap=29.5, random_phones=60.0))
    above = replace(final, nulls=Nulls(audio_swap=None, random_phones=24.0))
    for row, says in ((close, "only 4.5 points under"), (above, "1.0 points above")):
        failed = replace(results, rows={**results.rows, "self_training": row})
        for text in (terminal_table(failed), run_page(tmp_path, failed)):
            assert "supervised 5.0 %; does not work" in text
            assert f"does not work: {says} its nulls: audio swap" in text
            assert "expected at least 5 under" in text
        assert report_json(failed)["works"] is False
        line = results_markdown({"toy": (failed, None)}).splitlines()[6]
        assert line.split(" | ")[4] == "no"
    assert "audio swap not to be had" in terminal_table(failed)


def test_markdown_has_the_nulls_beside_the_rate(results: Results) -> None:
    text = results_markdown({"toy": (results, None)})
    header, _, line = text.splitlines()[4:7]
    assert header.split(" | ")[1:5] == ["PER, unsupervised", "audio swap", "random phones", "works"]
    assert line.split(" | ")[2:5] == ["58.2", "63.0", "yes"]
    assert "at least 5 points under both" in text


def test_floor_and_ceilings_of_clusters_have_a_table(tmp_path: Path, results: Results) -> None:
    lines = terminal_table(results).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("clusters of"))
    assert lines[start + 2].split() == ["matching", "88.0", "31.5", "9.5"]
    assert lines[start + 3].split() == ["matching_2", "87.0"]
    page = run_page(tmp_path, results)
    assert "<td>88.0</td><td>31.5</td><td>9.5</td>" in page
    assert "which this corpus does not have" not in page
    without = replace(results, maps=results.maps[1:])
    assert "which this corpus does not have" in terminal_table(without)
    assert report_json(results)["maps"]["matching"]["majority_map"] == 31.5


def test_signs_have_a_table_and_are_all_that_a_run_without_references_shows(
    tmp_path: Path, results: Results
) -> None:
    expected = ["matching", "18.0", "9.00", "1.50", "0.125", "0.250", "5.5", "inf", "40.5"]
    unscored = unscored_report("toy", results.signs, ("a cause",))
    for text in (terminal_table(results), unscored):
        lines = text.splitlines()
        start = next(i for i, line in enumerate(lines) if line.startswith("output of"))
        of_text = ["(text)", "12.0", "6.00", "1.00", "0.001", "0.010", "0.062", "5.5", "6.0"]
        assert lines[start + 2].split() == of_text
        assert lines[start + 3].split() == expected
    assert unscored.splitlines()[0].startswith("toy: no references")
    assert unscored.endswith("Why this run may fail:\n  ! a cause")
    assert "<td>9.00</td><td>1.50</td>" in run_page(tmp_path, results)
    assert report_json(results)["signs"]["matching"]["perplexity"] == "inf"


def test_report_of_a_run_without_references_prints_its_signs(
    tmp_path: Path, results: Results, capsys: pytest.CaptureFixture
) -> None:
    diagnosis = tmp_path / "mine" / "latest" / "diagnosis"
    diagnosis.mkdir(parents=True)
    write_signs(diagnosis / "signs.json", results.signs)
    write_findings(diagnosis / "diagnosis.json", [Finding("length", "a cause")])
    assert main(["report", "mine", "--exp", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("mine: no references, so no error rate")
    assert "  ! a cause" in out
    assert main(["report", "mine", "--exp", str(tmp_path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["recipe"], report["diagnosis"]) == ("mine", ["a cause"])
    assert list(report["signs"]) == ["text", "matching"]
    page = (tmp_path / "mine" / "report.html").read_text("utf-8")
    assert "There are no references" in words_of(page)
    (diagnosis.parent / "references").mkdir()  # a run with references that did not come to its end
    assert main(["report", "mine", "--exp", str(tmp_path)]) == 0
    assert "not been scored" in capsys.readouterr().out
    page = (tmp_path / "mine" / "report.html").read_text("utf-8")
    assert "It has not been scored" in words_of(page)
    assert main(["report", "mine", "--exp", str(tmp_path), "--json"]) == 1
    assert "no results yet" in capsys.readouterr().err


def test_the_cost_says_which_stages_used_a_gpu() -> None:
    places = {"text": "cpu", "gan": "cuda:0 (H100)", "self_training_1": "cuda:0 (H100)"}
    assert ran_on(places) == "gan, self_training_1 on cuda:0 (H100); the rest on the CPU"
    assert ran_on({"text": "cpu"}) == "all on the CPU"
