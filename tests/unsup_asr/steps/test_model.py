"""The round of self-training that goes out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from lm.ngram import NgramEstimator
from unsup_asr.engine.artifacts import Artifact
from unsup_asr.engine.stages import StageContext
from unsup_asr.steps.criterion import read_held_out_divergence, run_criterion
from unsup_asr.steps.model import chosen_round

CRITERIA = {"self_training_1": 7.4, "self_training_2": 8.7}


@pytest.mark.parametrize(
    ("held_out", "chosen"),
    [
        ((0.023, 0.017), "self_training_2"),  # the first knows its training speech by heart
        ((0.017, 0.023), "self_training_1"),
        ((None, None), "self_training_1"),
        ((None, 0.017), "self_training_1"),
    ],
)
def test_speakers_not_trained_on_decide_where_there_is_enough_of_them(
    held_out: tuple[float | None, float | None], chosen: str
) -> None:
    assert chosen_round(CRITERIA, dict(zip(CRITERIA, held_out, strict=True))) == chosen


def _sentences(rng: np.random.Generator, number: int, *, wrong: float) -> list[list[str]]:
    """The phones in order, but for a share of wrong ones."""
    ids = (rng.integers(6, size=(number, 1)) + np.arange(20)) % 6
    ids = np.where(rng.random(ids.shape) < wrong, rng.integers(6, size=ids.shape), ids)
    return [["abcdef"[i] for i in row] for row in ids]


def test_the_divergence_of_held_out_output_grows_with_its_errors(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("text", "language_model"):
        (tmp_path / name).mkdir()
    text = _sentences(rng, 300, wrong=0.02)
    lines = "\n".join(" ".join(s) for s in text)
    (tmp_path / "text" / "phones.txt").write_text(lines + "\n", "utf-8")
    (tmp_path / "text" / "inventory.json").write_text(json.dumps({"phones": list("abcdef")}))
    NgramEstimator(order=2).estimate_to(tmp_path / "language_model" / "phones.arpa", text)
    config = OmegaConf.create(
        {"language_model": {"scorer": {"_target_": "lm.perplexity.PerplexityScorer"}}, "seed": 0}
    )
    inputs = {
        n: Artifact(n, tmp_path / n, reads_references=False) for n in ("text", "language_model")
    }

    def divergence(held_out: list[list[str]]) -> float | None:
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        context = StageContext("self_training_1", out, config, 0, inputs)
        run_criterion(context, text[:50], held_out=held_out)
        return read_held_out_divergence(Artifact("out", out, reads_references=False))

    few, many = (divergence(_sentences(rng, 100, wrong=share)) for share in (0.05, 0.4))
    assert few is not None
    assert many is not None
    assert many > 2 * few
    assert divergence(_sentences(rng, 10, wrong=0.05)) is None
