"""What a script of one's own does that torchrun starts: CTC and fine-tuning, shared by all ranks.

    torchrun --nproc-per-node 2 torchrun_training.py FOLDER [KILLED]

Each rank would keep its state in FOLDER/<kind>-<rank>.safetensors; KILLED is the rank that is
killed while the second epoch of CTC is trained. Without torchrun it is one process.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import distributed

from tests.unsup_asr.upstreams.spoken_words import speak_words
from unsup_asr import compute
from unsup_asr.acoustic.checkpoint import Checkpoint, TrainingState
from unsup_asr.acoustic.finetuning import Finetuning
from unsup_asr.acoustic.processes import rank
from unsup_asr.acoustic.training import NetworkTraining
from unsup_asr.types import Float32Array, Int32Array
from unsup_asr.upstreams.transformers_hub import TransformersUpstream

CTC = NetworkTraining(
    hidden=12, epochs=2, batch_size=4, max_masked_frames=6, noise=0.3, max_stretch=1.3
)


def speech() -> tuple[dict[str, Float32Array], dict[str, Int32Array]]:
    """Features, and phones in their order."""
    rng = np.random.default_rng(0)
    features, phones = {}, {}
    for number in range(11):
        said = rng.permutation(5)[: rng.integers(2, 6)].astype(np.int32)
        x_TD = np.eye(5, dtype=np.float32)[said.repeat(8)]
        features[f"u{number}"] = x_TD + rng.normal(0, 0.2, x_TD.shape).astype(np.float32)
        phones[f"u{number}"] = said
    return features, phones


def train(folder: Path, killed: int | None) -> None:
    """Both trainings; their curves are in FOLDER/curves-<rank>.json."""
    epochs: list[int] = []

    def progress() -> None:
        epochs.append(1)
        if len(epochs) == 1 and killed is not None:
            distributed.barrier()  # the first rank has written its state by then
            if rank() == killed:
                os.kill(os.getpid(), signal.SIGKILL)

    def write(checkpoint: Checkpoint, state: TrainingState) -> None:
        (folder / f"wrote-{rank()}").touch()
        write_state(checkpoint, state)

    write_state, Checkpoint.write = Checkpoint.write, write
    features, phones = speech()
    options = {"num_phones": 5, "checkpoint": folder / "ctc.safetensors", "progress": progress}
    _, ctc = CTC.train_ctc(features, phones, **options)
    (folder / f"words-{rank()}").mkdir(exist_ok=True)
    words = speak_words(folder / f"words-{rank()}")
    tuning = replace(
        Finetuning(upstream=TransformersUpstream(checkpoint=str(folder / "upstream"))),
        updates=1,
        head_updates=0,
        batch_seconds=9.0,
        pass_seconds=3.0,
    )
    options = {"num_phones": len(words.inventory), "checkpoint": folder / "finetune.safetensors"}
    _, finetune = tuning.train_ctc(words.waveforms, words.targets, **options)
    curves = json.dumps({"ctc": ctc, "finetune": finetune})
    (folder / f"curves-{rank()}.json").write_text(curves, "utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    compute.use("cpu")
    distributed.init_process_group("gloo")
    train(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
    distributed.destroy_process_group()
