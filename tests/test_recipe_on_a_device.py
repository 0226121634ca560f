"""A recipe's stages that learn, on an accelerator that is not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.pretend_device import DEVICE, pretend_device
from tests.test_toy_recipe import SMALL
from unsup_asr import cli, compute
from unsup_asr.commands import run as run_verb

OPTIONS = [
    *(*SMALL, "gan.population.num_seeds=1", "realign.num_rounds=1", "self_training.num_rounds=1"),
    *("self_training.first_round.epochs=1", "self_training.training.epochs=1", "words=none"),
    *("matching.matcher.iterations=4", "matching.matcher.final_iterations=2"),
    *("corpus.num_train_utterances=15", "segmentation.clusterer.num_clusters=16"),
    *("gan.trainer.updates=3", "corpus.num_text_sentences=100"),
]


def test_all_that_learns_learns_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_verb, "compute_on", lambda *_, **__: compute.use(DEVICE))
    command = ["run", "toy", "--exp", str(tmp_path), *OPTIONS, "--until", "self_training_1"]
    with compute.using("cpu"), pretend_device():
        assert cli.main(command) == 0
    records = (tmp_path / "toy" / "latest").glob("*/stage.json")
    found = {path.parent.name: json.loads(path.read_text("utf-8"))["ran_on"] for path in records}
    learning = {"matching", "gan", "realign_1", "self_training_1"}
    assert {name for name, place in found.items() if place == str(DEVICE)} >= learning
    assert found["text"] == "cpu"
