"""Ceilings of clusters where references have no times."""

from pathlib import Path

import numpy as np
from omegaconf import OmegaConf

from unsup_asr.engine.artifacts import Artifact
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.ragged import RaggedWriter
from unsup_asr.steps.map_scoring import Table, score_maps
from unsup_asr.types import Transcript


def test_without_times_there_is_a_floor_and_no_ceiling(tmp_path: Path) -> None:
    with RaggedWriter(tmp_path / "units_2" / "clusters" / "test", dtype="int32") as writer:
        writer.append("u1", np.array([0, 1, 1, 2]))
    inputs = {"units_2": Artifact("units_2", tmp_path / "units_2", reads_references=True)}
    context = StageContext("evaluate", tmp_path, OmegaConf.create({}), 0, inputs)
    said = [Transcript("u1", ("a", "b", "a")), Transcript("too-short", ("a",))]
    tables = [Table("matching_2", "segments", "units_2")]
    (found,) = score_maps(context, tables, said, {"a": 1.0})
    assert (found.majority_map, found.segments) == (None, None)
    assert found.random_map == 75.0  # one `a` of four phones, as equal neighbours are one
    assert score_maps(context, [], said, {"a": 1.0}) == ()
