from dataclasses import replace
from pathlib import Path

import pytest

from unsup_asr.report.compare import compare, compare_apart
from unsup_asr.report.results import SUPERB_ROW, Results, row_from_counts
from unsup_asr.types import ErrorCounts


@pytest.fixture
def results() -> Results:
    row = row_from_counts([ErrorCounts(0, 0, 1, 4)] * 20, split="test", seed=0, decoding="no LM")
    return Results(
        recipe="toy",
        seed=0,
        corpus="synthetic-en",
        test_digest="0123456789ab",
        rows={"matching": row, "supervised": row},
        num_phones=40,
        train_hours=1.0,
        num_train_speakers=8,
        js_divergence={},
        wall_by_stage={"corpus": 61.0},
        audio_digest="aaaaaaaaaaaa",
        fold="timit_39",
        silence="not counted",
    )


def written(path: Path, results: Results) -> Path:
    results.write(path)
    return path


def test_runs_stand_side_by_side_whatever_rounds_they_have(tmp_path, results):
    worse = row_from_counts([ErrorCounts(0, 2, 0, 4)] * 20, split="test", seed=0)
    more = replace(results, seed=1, rows={**results.rows, "self_training_1": worse})
    paths = [written(tmp_path / "a.json", results), written(tmp_path / "b.json", more)]
    lines = compare(paths).splitlines()
    systems = {line.split("  ")[0]: line for line in lines}
    assert "toy, seed 0" in lines[1]
    assert "toy, seed 1" in lines[1]
    assert systems["matching"].count("25.0 [25.0, 25.0]") == 2
    assert systems["self_training_1"].split(maxsplit=2)[1:] == ["none", "50.0 [50.0, 50.0]"]
    assert list(systems).index("supervised") > list(systems).index("self_training_1")
    assert systems["wall s"].split()[-2:] == ["61", "61"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"num_phones": 39}, "num_phones"),
        ({"test_digest": "ffffffffffff"}, "test_digest"),
        ({"audio_digest": "ffffffffffff"}, "audio_digest"),
        ({"fold": "none"}, "fold"),
        ({"silence": "sil counted"}, "silence"),
    ],
)
def test_unequal_scoring_conditions_are_refused_unless_shown_apart(
    tmp_path, results, change, named
):
    paths = [
        written(tmp_path / "a.json", results),
        written(tmp_path / "b.json", replace(results, **change)),
    ]
    message = rf"b\.json was scored on .* they differ in {named}\. .* show them apart"
    with pytest.raises(ValueError, match=message):
        compare(paths)
    assert compare_apart(paths).count(", scored on ") == 2


def test_two_recipes_on_one_test_set_compare(tmp_path, results):
    paths = [
        written(tmp_path / "a.json", results),
        written(tmp_path / "b.json", replace(results, recipe="wavlm", corpus="wavlm")),
    ]
    lines = compare(paths).splitlines()
    assert lines[0].startswith("synthetic-en, wavlm, scored on test (20 utterances), references")
    assert "fold timit_39, silence not counted" in lines[0]
    assert "toy, seed 0" in lines[1]
    assert "wavlm, seed 0" in lines[1]


def test_one_system_decoded_with_a_language_model_and_without_is_refused(tmp_path, results):
    with_lm = replace(results.rows["matching"], decoding="phone LM")
    other = replace(results, rows={**results.rows, "matching": with_lm})
    paths = [written(tmp_path / "a.json", results), written(tmp_path / "b.json", other)]
    with pytest.raises(ValueError, match=r"decoding of matching \(no LM / phone LM\)"):
        compare(paths)
    assert compare_apart(paths).count(", scored on ") == 2


def test_what_older_results_do_not_say_keeps_no_comparison_back_but_hides_none(tmp_path, results):
    """Results without fold compare with both, though the two do not compare with each other."""
    old = replace(results, fold="", audio_digest="")
    paths = [
        written(tmp_path / "old.json", old),
        written(tmp_path / "a.json", results),
        written(tmp_path / "b.json", replace(results, fold="none")),
    ]
    assert compare(paths[:2]).startswith("synthetic-en, scored on")
    with pytest.raises(ValueError, match=r"b\.json .*a\.json .* they differ in fold"):
        compare(paths)
    assert compare_apart(paths).count(", scored on ") == 2


def test_unsupervised_systems_stand_beside_both_supervised_ones(tmp_path, results):
    better = row_from_counts([ErrorCounts(0, 0, 1, 8)] * 20, split="test", seed=0)
    chosen = replace(results.rows["matching"], chosen=True)
    rows = {SUPERB_ROW: better, "supervised": better, "matching": chosen}
    lines = compare([written(tmp_path / "a.json", replace(results, rows=rows))]).splitlines()
    systems = {line.split("  ")[0]: line.split() for line in lines}
    assert list(systems)[3:8] == [
        "matching",
        "supervised",
        SUPERB_ROW,
        "behind supervised",
        f"behind {SUPERB_ROW}",
    ]
    assert systems["matching"][1:4] == ["none", "no", "LM"]
    assert "references" in systems[SUPERB_ROW]
    assert systems["behind supervised"][-1] == "+12.5"


def test_another_split_or_another_number_of_utterances_is_refused(tmp_path, results):
    dev = row_from_counts([ErrorCounts(0, 0, 1, 4)] * 20, split="dev", seed=0)
    other = replace(results, rows={"matching": dev})
    paths = [written(tmp_path / "a.json", results), written(tmp_path / "b.json", other)]
    with pytest.raises(ValueError, match=r"dev \(20 utterances\)"):
        compare(paths)


def test_a_run_whose_own_systems_were_scored_on_different_sets_is_refused(tmp_path, results):
    dev = row_from_counts([ErrorCounts(0, 0, 1, 4)] * 20, split="dev", seed=0)
    mixed = replace(results, rows={**results.rows, "gan": dev})
    with pytest.raises(ValueError, match="toy: its systems were scored on"):
        compare([written(tmp_path / "a.json", mixed)])


def test_nothing_to_compare_is_an_error():
    with pytest.raises(ValueError, match="nothing to compare"):
        compare([])


def test_published_numbers_name_their_source_and_say_when_they_are_from_memory(tmp_path, results):
    path = written(tmp_path / "a.json", results)
    text = compare([path])
    published = text[text.index("Published results") :].splitlines()
    by_system = {line.split("  ")[0]: line for line in published}
    yeh = by_system["Yeh 2019, segmental ODM"]
    assert "41.6  " in yeh
    source = next(line for line in published if line.startswith(yeh.split()[-1]))
    assert "1812.09323" in source
    assert by_system["wav2vec 2.0, fine-tuned"].split("8.3")[1].split()[0] == "?"
    assert "71, with stress" in by_system["SUPERB PR, FBANK"]
    assert any(line.startswith("? from memory") for line in published)
    assert "librispeech" not in compare([path], published="timit")
    assert "timit core test" in compare_apart([path], published="timit")
    assert "82.01" in compare([path], published="librispeech")
