"""A script of one's own under torchrun: two processes on the CPU, over gloo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.unsup_asr.acoustic import torchrun_training
from tests.unsup_asr.upstreams.transformers_checkpoints import SIZE, save_family
from unsup_asr.acoustic.checkpoint import Checkpoint
from unsup_asr.formats.weights import read_tensors

ROOT = Path(__file__).parents[3]
STATES = ("ctc.safetensors", "finetune.safetensors")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    small = {"hidden_size": 48, "num_hidden_layers": 2, "conv_dim": (32,) * 7}
    for name, value in small.items():
        monkeypatch.setitem(SIZE, name, value)
    save_family("wav2vec2_base", tmp_path / "upstream")
    return tmp_path


@pytest.fixture
def alone(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """What one process makes."""
    alone = tmp_path_factory.mktemp("alone")
    (alone / "upstream").symlink_to(folder / "upstream")
    monkeypatch.setattr(Checkpoint, "write", Checkpoint.write)  # which the script changes
    torchrun_training.train(alone, None)
    return alone


def torchrun(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", torchrun_training.__file__, str(folder), *more]
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    found = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    return subprocess.run(command, capture_output=True, text=True, env=found, check=False)


def test_two_ranks_end_as_one_process_and_the_first_alone_writes_even_if_one_was_killed(
    alone: Path, folder: Path
) -> None:
    killed = torchrun(folder, "1")
    assert killed.returncode != 0
    assert "rank      : 1 " in killed.stderr
    assert "Signal 9 (SIGKILL)" in killed.stderr
    assert "another of the 2 processes of this training is gone" in killed.stderr
    left = {path.name for path in folder.iterdir() if path.is_file()}
    assert left == {"ctc.safetensors", "wrote-0"}  # whole, of the first epoch
    assert read_tensors(folder / "ctc.safetensors")

    done = torchrun(folder)
    assert done.returncode == 0, done.stderr
    wrote = {path.name for path in folder.iterdir() if path.is_file()}
    assert wrote == {*STATES, "wrote-0", "curves-0.json", "curves-1.json"}
    curves = [json.loads((folder / f"curves-{r}.json").read_text("utf-8")) for r in range(2)]
    expected = json.loads((alone / "curves-0.json").read_text("utf-8"))
    for kind in ("ctc", "finetune"):
        assert curves[0][kind] == curves[1][kind] == pytest.approx(expected[kind], rel=1e-4)
    for name in STATES:
        found, there = read_tensors(folder / name), read_tensors(alone / name)
        moments = [key for key in there if key.endswith("exp_avg")]
        assert any(bool(there[key].any()) for key in moments)
        for key in moments:  # of Adam: sums of gradients
            torch.testing.assert_close(found[key], there[key], rtol=2e-3, atol=1e-5)
