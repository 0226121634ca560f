"""What matching compares: clusters and text, both as they are cut."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from omegaconf import OmegaConf

from tests.stage_table import SETUPS
from unsup_asr.engine.recipe import load_recipe
from unsup_asr.engine.recipe_files import RecipeError
from unsup_asr.formats.ragged import RaggedWriter
from unsup_asr.pipeline import build_graph
from unsup_asr.steps import matching
from unsup_asr.steps.matching import run_matching


@dataclass(kw_only=True)
class Seen:
    """A matcher that keeps what it is given, and takes every cluster for the first phone."""

    num_steps: int = 0
    given: dict[str, list[list[int]]] = field(default_factory=dict)

    def match(
        self,
        clusters: Sequence[np.ndarray],
        centroids_KD: np.ndarray,
        text: Sequence[np.ndarray],
        *,
        num_phones: int,
        **_: object,
    ) -> SimpleNamespace:
        LAST.clear()
        LAST.extend([[x.tolist() for x in clusters], [x.tolist() for x in text]])
        table = np.eye(len(centroids_KD), num_phones, dtype=np.float32)
        return SimpleNamespace(table_KV=table, losses_R=[0.0], chosen=0, curves_RI=[[0.0]])


LAST: list[list[list[int]]] = []


def write(folder: Path, name: str, rows: dict[str, list[int]]) -> None:
    with RaggedWriter(folder / name, dtype="int32") as writer:
        for i, row in rows.items():
            writer.append(i, np.array(row, dtype=np.int32))


def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, spoken: bool) -> list:
    """Clusters and text that the matcher saw; phone a is spoken as two segments, b as none."""
    monkeypatch.setattr(matching, "write_segment_posteriors", lambda *_: None)
    for split in ("train", "dev", "test"):
        write(tmp_path / "units", f"clusters/{split}", {"u": [0, 0, 1]})
    write(tmp_path / "spoken_segments", "phones/train", {"s": [0, 1, 0, 1]})
    write(tmp_path / "spoken_segments", "num_segments/train", {"s": [2, 0, 2, 0]})
    np.save(tmp_path / "units" / "centroids.npy", np.eye(2, dtype=np.float32))
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "inventory.json").write_text(json.dumps({"phones": ["a", "b"]}), "utf-8")
    (tmp_path / "text" / "phones.txt").write_text("a b b a\n", "utf-8")
    channel = {"_target_": "gan.segmentation_channel.SegmentationChannel", "trust": 1e-6}
    options = {"matcher": {"_target_": f"{__name__}.Seen"}, "duplicate_text": False}
    context = SimpleNamespace(
        out=tmp_path,
        seed=0,
        config=OmegaConf.create({"matching": options | {"channel": channel}}),
        artifacts={"spoken_segments": None} if spoken else {},
        input=lambda stage: SimpleNamespace(file=lambda name: tmp_path / stage / name),
    )
    run_matching(context)  # type: ignore[arg-type]
    return LAST


def test_text_as_it_is_meets_clusters_without_repeats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert seen(tmp_path, monkeypatch, spoken=False) == [[[0, 1]], [[0, 1, 0]]]


def test_text_through_the_channel_meets_all_segments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert seen(tmp_path, monkeypatch, spoken=True) == [[[0, 0, 1]], [[0, 0, 0, 0]]]


def inputs(*options: str) -> dict[str, tuple[str, ...]]:
    return {s.name: s.inputs for s in build_graph(load_recipe("demo", list(options)))}


def test_matching_of_the_segmenters_segments_reads_the_channel_and_no_other() -> None:
    assert "spoken_segments" in inputs("matching=spoken_channel")["matching"]
    looped = inputs("matching=spoken_channel", "realign=hmm", "realign.num_iterations=2")
    assert "spoken_segments" in looped["matching"]
    assert "spoken_segments" not in looped["matching_2"]  # of the HMM's boundaries
    assert "spoken_segments" not in inputs("matching=skip_bigrams")


def test_segments_that_the_spoken_text_would_not_have_are_refused() -> None:
    for setup in ("a layer of an upstream", "wav2vec-U"):
        recipe, *options = SETUPS[setup]
        with pytest.raises(RecipeError, match="use matching=skip_bigrams"):
            build_graph(load_recipe(recipe, [*options, "matching=spoken_channel"]))
