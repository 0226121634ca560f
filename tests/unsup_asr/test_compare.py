from dataclasses import replace
from pathlib import Path

import pytest

from unsup_asr.compare import compare, compare_apart
from unsup_asr.published import PUBLISHED
from unsup_asr.results import Results, row_from_counts
from unsup_asr.types import ErrorCounts


@pytest.fixture
def results() -> Results:
    row = row_from_counts([ErrorCounts(0, 0, 1, 4)] * 20, split="test", seed=0)
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
    assert systems["self_training_1"].split(maxsplit=1)[1] == "50.0 [50.0, 50.0]"
    assert list(systems).index("supervised") > list(systems).index("self_training_1")
    assert systems["wall s"].split()[-2:] == ["61", "61"]


@pytest.mark.parametrize(
    "change", [{"num_phones": 39}, {"test_digest": "ffffffffffff"}, {"corpus": "timit"}]
)
def test_unequal_scoring_conditions_are_refused_unless_shown_apart(tmp_path, results, change):
    paths = [
        written(tmp_path / "a.json", results),
        written(tmp_path / "b.json", replace(results, **change)),
    ]
    with pytest.raises(ValueError, match=r"b\.json was scored on .* show them apart"):
        compare(paths)
    assert compare_apart(paths).count("Scored on ") == 2


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
    text = compare([written(tmp_path / "a.json", results)])
    published = text[text.index("Published results") :].splitlines()
    by_system = {line.split("  ")[0]: line for line in published}
    assert "41.6 " in by_system["Yeh 2019, segmental ODM"]
    assert "1812.09323" in by_system["Yeh 2019, segmental ODM"]
    assert "8.3?" in by_system["wav2vec 2.0"]
    assert "from memory" in published[-1]
    assert all(result.source for result in PUBLISHED)
