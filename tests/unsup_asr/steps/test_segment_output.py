"""What the game ends with where some of its segments are silent."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from lm.ngram import NgramEstimator
from unsup_asr.engine.artifacts import Artifact
from unsup_asr.engine.recipe_files import GROUPS
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.hypotheses import read_hypotheses
from unsup_asr.formats.ragged import RaggedArray, RaggedWriter
from unsup_asr.steps.segment_output import run_segments_lm, write_segment_posteriors
from unsup_asr.types import SPLITS

PHONES = ["a", "b"]
SILENT = 2  # the column past the phones
SEGMENTS = {  # the best column of each segment
    "between": [SILENT, 0, SILENT, SILENT, 1, 1, SILENT],
    "around": [0, SILENT, 0],
    "nothing": [SILENT, SILENT],
}
LABELS = {"between": [0, 0, 0, 0, 1, 1, 1], "around": [0, 0, 0], "nothing": [1, 1]}


@pytest.fixture
def context(tmp_path: Path) -> StageContext:
    inputs = {}
    for name in ("text", "features", "segments", "language_model", "gan"):
        (tmp_path / name).mkdir()
        inputs[name] = Artifact(name, tmp_path / name, reads_references=False)
    (tmp_path / "text" / "inventory.json").write_text(json.dumps({"phones": PHONES}), "utf-8")
    (tmp_path / "text" / "phones.txt").write_text("a b\nb a\na\n", "utf-8")
    timing = json.dumps({"frame_shift_s": 0.02, "first_centre_s": 0.01})
    (tmp_path / "features" / "timing.json").write_text(timing, "utf-8")
    NgramEstimator(order=2).estimate_to(
        tmp_path / "language_model" / "phones.arpa", [["a", "b"], ["b", "a"], ["a"]] * 9
    )
    for split in SPLITS:
        with (
            RaggedWriter(tmp_path / "features" / "kept" / split, dtype="int32") as kept,
            RaggedWriter(tmp_path / "segments" / "boundaries" / split, dtype="int32") as edges,
        ):
            for i, segments in SEGMENTS.items():
                kept.append(i, np.arange(2 * len(segments)))
                edges.append(i, 2 * np.arange(len(segments) + 1))
    config = OmegaConf.create({"seed": 0, "language_model": {}})
    config.language_model = OmegaConf.load(GROUPS / "language_model" / "kneser_ney.yaml")
    return StageContext("gan", tmp_path / "gan", config, 0, inputs)


def posteriors() -> dict:
    """Sure of what each segment is; `b` is the likelier phone of silent ones."""
    of_split = {}
    for i, best in SEGMENTS.items():
        rows = np.tile(np.array([0.02, 0.08, 0.0], np.float32), (len(best), 1))
        rows[np.arange(len(best)), best] += 0.9
        of_split[i] = rows
    return dict.fromkeys(SPLITS, of_split)


def test_silent_segments_are_no_phones_and_belong_to_the_phone_before(
    context: StageContext,
) -> None:
    write_segment_posteriors(context, posteriors())
    found = {h.utterance_id: h for h in read_hypotheses(context.out / "hypotheses" / "test.tsv")}
    assert {i: h.phones for i, h in found.items()} == {
        "between": ("a", "b"),
        "around": ("a", "a"),  # a pause between two is no repeat
        "nothing": (),
    }
    np.testing.assert_allclose(found["between"].starts_s, (0.04, 0.16))
    labels = RaggedArray.open(context.out / "labels" / "train")
    expected = {i: np.repeat(ids, 2).tolist() for i, ids in LABELS.items()}
    assert {i: labels[i].tolist() for i in labels} == expected
    criterion = json.loads((context.out / "criterion.json").read_text("utf-8"))
    assert criterion["phones_used"] == 2
    assert criterion["mean_length"] == pytest.approx(4 / 3)


def test_a_language_model_without_silence_passes_it_over(context: StageContext) -> None:
    write_segment_posteriors(context, posteriors())
    run_segments_lm(context, system="gan")
    found = {h.utterance_id: h for h in read_hypotheses(context.out / "hypotheses" / "test.tsv")}
    assert found["between"].phones == ("a", "b")
    assert found["nothing"].phones == ()
    np.testing.assert_allclose(found["between"].starts_s, (0.04, 0.16))
