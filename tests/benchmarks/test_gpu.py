"""The script for a GPU, rehearsed: it may be run once only, so it must not fail by a mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import speech
from benchmarks.gpu.measure import Setting
from benchmarks.gpu.parts import PARTS
from tests.pretend_device import pretend_device
from unsup_asr import compute

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "name", [n for n in PARTS if n not in ("sixteen", "steps")]
)  # seconds on a CPU
def test_every_part_finds_something(name: str) -> None:
    with compute.using("cpu"):
        rows = list(PARTS[name].run(Setting("cpu", is_tiny=True, fairseq=None)))
    assert rows
    json.dumps(rows)


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
from benchmarks.gpu.parts import PARTS

for name in sys.argv[2:]:
    for row in PARTS[name].run(Setting("cpu", is_tiny=True, fairseq=None)):
        print(json.dumps(row))
"""
_MAY_BE_MISSING = (
    "torchaudio faiss kenlm phonemizer espeakng_loader wordfreq scipy hydra omegaconf yaml "
    "soundfile matplotlib rapidfuzz psutil transformers huggingface_hub s3prl submitit rVADfast"
)


def test_nothing_but_torch_numpy_safetensors_and_tqdm_is_needed() -> None:
    """Of all that this project uses; torchaudio's network has a stand-in of its size."""
    command = [sys.executable, "-c", _ALONE, _MAY_BE_MISSING, "extraction", "clustering"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"what": "k-means", "not_run": "faiss is not installed"} in rows
    networks = {row["network"] for row in rows if "network" in row}
    assert networks == {"torch.nn, of the size of wav2vec 2.0 Large"}


def test_all_parts_together_end_within_eight_minutes() -> None:
    assert sum(part.limit_s for part in PARTS.values()) <= 480


def test_a_part_that_fails_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.gpu.run", "--tiny", "--device", "cuda:99"]
    command += ["--only", "card", "validation", "--out", str(tmp_path / "rows.jsonl")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [row["part"] for row in rows] == ["card", "validation"]
    assert all("'cuda:99', but there" in row["error"] for row in rows)
