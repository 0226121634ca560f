"""The script for a GPU, rehearsed: it may be run once only, so it must not fail by a mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.gpu import speech
from benchmarks.gpu.measure import Setting
from benchmarks.gpu.parts import MORE_PARTS
from benchmarks.gpu.parts import PARTS as USUAL_PARTS
from benchmarks.gpu.surrogate import SURROGATE_PARTS, Given, make
from tests.pretend_device import pretend_device
from unsup_asr import compute
from unsup_asr.cli import main

PARTS = USUAL_PARTS | MORE_PARTS
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "name", [n for n in PARTS if n not in ("sixteen", "steps", *SURROGATE_PARTS)]
)  # seconds on a CPU
def test_every_part_finds_something(name: str) -> None:
    with compute.using("cpu"):
        rows = list(PARTS[name].run(Setting("cpu", is_tiny=True, fairseq=None)))
    assert rows
    json.dumps(rows)


@pytest.fixture(scope="module")
def surrogate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a few sentences that espeak-ng says."""
    folder = tmp_path_factory.mktemp("surrogate")
    sizes = ["corpus.num_train_utterances=12", "corpus.num_text_sentences=400"]
    sizes.append("text.front_end.min_phone_count=1")
    few = [*sizes, "corpus.num_dev_utterances=2", "corpus.num_test_utterances=1"]
    for until in ("text", "references"):
        assert main(["run", "toy", "--exp", str(folder), *few, "--until", until]) == 0
    path = folder / "surrogate.npz"
    make(folder / "toy" / "latest", path, utterances=10, sentences=50, dim=48)
    return path


@pytest.mark.parametrize("name", list(SURROGATE_PARTS))
def test_games_on_a_surrogate_are_scored_from_their_start(name: str, surrogate: Path) -> None:
    with compute.using("cpu"):
        rows = list(PARTS[name].run(Setting("cpu", is_tiny=True, surrogate=surrogate)))
        assert [row["update"] for row in rows if "update" in row] == [0, 2, 4]
        assert all(0 < float(str(row["per"])) < 400 for row in rows if "per" in row)
        (none,) = PARTS[name].run(Setting("cpu", is_tiny=True))
        assert str(none["not_run"]).startswith("no --surrogate FILE")
    if name == "surrogate from matching":  # the game begins where matching has ended
        assert rows[1]["per"] == rows[0]["matching_per"]


def test_frames_on_the_other_machine_are_those_that_were_clustered(surrogate: Path) -> None:
    given = Given.read(surrogate)
    frames = given.frames("train")
    assert len(frames) == len(given.arrays["train_ids"]) > 0
    assert len(frames.values_array) == len(given.arrays["classes"])
    assert "SIL" in str(given.arrays["inventory"])


def test_another_file_is_no_surrogate(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", rows=np.zeros(3))
    with pytest.raises(ValueError, match=r"other\.npz: expected what benchmarks\.gpu\.surrogate"):
        Given.read(tmp_path / "other.npz")


def test_steps_compare_a_device_with_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    with pretend_device() as pretend:
        monkeypatch.setattr(compute, "_device", lambda _: pretend.device)
        using = compute.using
        monkeypatch.setattr(
            compute, "using", lambda d: using(d if d == "pretended" else torch.device(d))
        )
        rows = list(PARTS["steps"].run(Setting("pretended", is_tiny=True, fairseq=None)))
    assert all(float(str(row["largest_relative_difference"])) < 1e-2 for row in rows)


@pytest.mark.parametrize("name", ["ctc", "frame classifier", "posteriors"])
def test_speech_is_learned_and_heard_as_on_the_cpu(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech, "PRECISIONS", ("float32",))  # autocast knows no pretended device
    with pretend_device() as pretend, compute.using("cpu"):
        monkeypatch.setattr(
            compute, "_device", lambda d: pretend.device if d == "pretended" else torch.device(d)
        )
        rows = list(PARTS[name].run(Setting("pretended", is_tiny=True, fairseq=None)))
    (difference,) = (row["largest_difference"] for row in rows if "largest_difference" in row)
    assert float(str(difference)) < 1e-4
    assert [row["device"] for row in rows if "device" in row] == ["cpu", pretend.device.type]


_ALONE = """
import json, sys

sys.modules |= dict.fromkeys(sys.argv[1].split())  # importing them fails

from benchmarks.gpu.measure import Setting
from benchmarks.gpu.parts import MORE_PARTS, PARTS

for name in sys.argv[2:]:
    for row in (PARTS | MORE_PARTS)[name].run(Setting("cpu", is_tiny=True, fairseq=None)):
        print(json.dumps(row))
"""
_MAY_BE_MISSING = (
    "torchaudio faiss kenlm phonemizer espeakng_loader wordfreq scipy hydra omegaconf yaml "
    "soundfile matplotlib rapidfuzz psutil transformers huggingface_hub s3prl submitit rVADfast"
)


def test_nothing_but_torch_numpy_safetensors_and_tqdm_is_needed() -> None:
    """Of all that this project uses; torchaudio's network has a stand-in of its size."""
    command = [sys.executable, "-c", _ALONE, _MAY_BE_MISSING]
    command += ["extraction", "clustering", *MORE_PARTS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"what": "k-means", "not_run": "faiss is not installed"} in rows
    assert {"not_run": "transformers is not installed"} in rows
    networks = {row["network"] for row in rows if "network" in row}
    assert networks == {"torch.nn, of the size of wav2vec 2.0 Large"}


def test_all_parts_together_end_within_eight_minutes() -> None:
    for parts in (USUAL_PARTS, MORE_PARTS):
        assert sum(part.limit_s for part in parts.values()) <= 480


def test_a_part_that_fails_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.gpu.run", "--tiny", "--device", "cuda:99"]
    command += ["--only", "card", "validation", "--out", str(tmp_path / "rows.jsonl")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [row["part"] for row in rows] == ["card", "validation"]
    assert all("'cuda:99', but there" in row["error"] for row in rows)
