"""Fine-tuning of Base and Large: seconds of audio a second, and memory, on this device.

    python -m benchmarks.finetune                        # Base and Large, as published
    python -m benchmarks.finetune --size base --pass-seconds 20 --batch-seconds 20 --updates 2

Networks of wav2vec 2.0's published sizes with drawn weights, which cost what trained ones do, on
noise of 12 to 16 s an utterance. Each line is one setting in a process of its own: memory is the
peak of what torch has allocated on a GPU, of the whole process on a CPU. The first update is
left out of the time. Run in a checkout, installed with the extra `transformers`.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from unsup_asr import compute
from unsup_asr.acoustic.finetuning import Finetuning
from unsup_asr.speech.waveforms import Waveforms
from unsup_asr.types import Float32Array, Utterance
from unsup_asr.upstreams.transformers_hub import TransformersNetwork

SIZES: dict[str, dict[str, object]] = {
    "tiny": {  # to try the script
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "conv_dim": (16,) * 7,
    },
    "base": {},
    "large": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "feat_extract_norm": "layer",
        "do_stable_layer_norm": True,
        "conv_bias": True,
    },
}
NUM_PHONES = 40
PHONES_A_SECOND = 10


@dataclass(kw_only=True)
class DrawnNetwork(TransformersNetwork):
    """wav2vec 2.0 of a published size, its weights drawn."""

    size: str = "base"
    sample_rate: int = field(init=False, default=16000)

    def __post_init__(self) -> None:
        super().__post_init__()
        import transformers

        self._config = transformers.Wav2Vec2Config(**SIZES[self.size])
        self.normalize_waveform = True
        self._describe()

    def pretrained(self, config: Any) -> nn.Module:
        import transformers

        return transformers.Wav2Vec2Model(config)

    def fingerprint(self) -> str:
        return self.size


class Noise(Waveforms):
    """Recordings that are not there."""

    def __getitem__(self, key: str) -> Float32Array:
        return np.random.default_rng(int(key)).standard_normal(self.lengths[key], np.float32) / 10


def noise(seconds: float) -> Noise:
    rng = np.random.default_rng(0)
    durations = rng.uniform(12, 16, size=max(1, round(seconds / 14)))
    utterances = [Utterance(str(i), "", "a", float(d)) for i, d in enumerate(durations)]
    return Noise(utterances, sample_rate=16000)


def measure(arguments: argparse.Namespace) -> dict[str, object]:
    compute.use(arguments.device, arguments.precision)
    waveforms = noise(arguments.batch_seconds)
    rng = np.random.default_rng(1)
    targets = {
        i: rng.integers(0, NUM_PHONES, size=PHONES_A_SECOND * length // 16000).astype(np.int32)
        for i, length in waveforms.lengths.items()
    }
    training = Finetuning(
        upstream=DrawnNetwork(size=arguments.size),
        updates=arguments.updates + 1,
        head_updates=0,
        batch_seconds=2 * arguments.batch_seconds,  # all of them, however they are padded
        pass_seconds=arguments.pass_seconds,
        gradient_checkpointing=arguments.checkpointing,
    )
    ends: list[float] = []

    def note() -> None:
        if compute.device().type == "cuda":
            torch.cuda.synchronize()
        ends.append(time.monotonic())

    _, curve = training.train_ctc(waveforms, targets, num_phones=NUM_PHONES, progress=note)
    audio_s = sum(waveforms.lengths.values()) / 16000
    if compute.device().type == "cuda":
        memory = torch.cuda.max_memory_allocated()
    else:
        memory = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "size": arguments.size,
        "device": compute.described(),
        "threads": torch.get_num_threads(),
        "pass_seconds": arguments.pass_seconds,
        "seconds_an_update": round(audio_s, 1),
        "gradient_checkpointing": arguments.checkpointing,
        "audio_seconds_a_second": round(arguments.updates * audio_s / (ends[-1] - ends[0]), 2),
        "peak_memory_gb": round(memory / 1e9, 2),
        "losses": [round(loss, 2) for loss in curve],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, help="one alone")
    parser.add_argument("--checkpointing", action=argparse.BooleanOptionalAction)
    parser.add_argument("--updates", type=int, default=5)
    parser.add_argument("--batch-seconds", type=float, default=320.0)
    parser.add_argument("--pass-seconds", type=float, default=80.0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    arguments = parser.parse_args()
    if arguments.size is not None and arguments.checkpointing is not None:
        print(json.dumps(measure(arguments)), flush=True)
        return
    sizes = ["base", "large"] if arguments.size is None else [arguments.size]
    both = [False, True] if arguments.checkpointing is None else [arguments.checkpointing]
    for size in sizes:
        for is_again in both:
            again = "--checkpointing" if is_again else "--no-checkpointing"
            command = [sys.executable, "-m", "benchmarks.finetune", *sys.argv[1:]]
            subprocess.run([*command, "--size", size, again], check=True)


if __name__ == "__main__":
    main()
