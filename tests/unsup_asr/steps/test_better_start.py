"""Self-training starts from the loop's transcripts only where they are much more like the text."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from unsup_asr.engine.artifacts import Artifact
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.hypotheses import read_hypotheses, write_hypotheses
from unsup_asr.steps.better_start import run_better_start
from unsup_asr.types import Hypothesis

PHONES = list("abcdef")


def _sentences(rng: np.random.Generator, number: int, *, wrong: float) -> list[list[str]]:
    """Sentences whose phones follow one another in order, but for a share of wrong ones."""
    found = []
    for _ in range(number):
        ids = (int(rng.integers(6)) + np.arange(20)) % 6
        ids = np.where(rng.random(20) < wrong, rng.integers(6, size=20), ids)
        found.append([PHONES[i] for i in ids])
    return found


@pytest.mark.parametrize(
    ("loop_is_wrong", "chosen"),
    [(0.05, "realign_3"), (0.35, "spoken_model"), (0.6, "spoken_model")],
)
def test_the_loop_must_be_much_nearer_to_the_text(
    tmp_path: Path, loop_is_wrong: float, chosen: str
) -> None:
    rng = np.random.default_rng(0)
    inputs = {}
    for name in ("text", "spoken_model", "realign_3"):
        (tmp_path / name).mkdir()
        inputs[name] = Artifact(name, tmp_path / name, reads_references=False)
    text = "\n".join(" ".join(s) for s in _sentences(rng, 400, wrong=0.02))
    (tmp_path / "text" / "phones.txt").write_text(text + "\n", "utf-8")
    wrote = {"spoken_model": 0.4, "realign_3": loop_is_wrong}
    for name, wrong in wrote.items():
        write_hypotheses(
            tmp_path / name / "hypotheses" / "train.tsv",
            [
                Hypothesis(f"u{i}", tuple(s))
                for i, s in enumerate(_sentences(rng, 100, wrong=wrong))
            ],
        )
    config = OmegaConf.create({"seed": 0, "start": {"max_divergence_ratio": 0.5}})
    context = StageContext("better_start", tmp_path / "out", config, 0, inputs)
    run_better_start(context, heard="spoken_model", corrected="realign_3")
    found = read_hypotheses(tmp_path / "out" / "hypotheses" / "train.tsv")
    assert found == read_hypotheses(tmp_path / chosen / "hypotheses" / "train.tsv")
    choice = json.loads((tmp_path / "out" / "choice.json").read_text("utf-8"))
    assert choice["chosen"] == chosen
    assert set(choice["criteria"]) == {"spoken_model", "realign_3"}
