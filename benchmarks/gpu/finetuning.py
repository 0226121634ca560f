"""A part of `benchmarks.gpu.run`: fine-tuning of wav2vec 2.0 Base and Large, with CTC.

transformers' network is what is fine-tuned, so it must be there; `pip install --target FOLDER
transformers` takes 190 MB, of which `transformers/models` (111 MB) is needed but for `wav2vec2`
and `auto`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib.util import find_spec

import torch

from benchmarks.gpu.measure import Part, Row, Setting
from unsup_asr import compute


def finetuning(setting: Setting) -> Iterator[Row]:
    """Seconds of audio a second and memory, in bfloat16 where the device multiplies it."""
    if find_spec("transformers") is None:
        yield {"not_run": "transformers is not installed"}
        return
    from benchmarks.finetune import measure

    for size in ("tiny",) if setting.is_tiny else ("base", "large"):
        compute.use(setting.device)
        if compute.device().type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        options = argparse.Namespace(
            size=size,
            device=setting.device,
            precision="auto",
            batch_seconds=14.0 if setting.is_tiny else 160.0,
            pass_seconds=14.0 if setting.is_tiny else 80.0,
            updates=1 if setting.is_tiny else 3,
            checkpointing=False,
        )
        yield measure(options)


FINETUNING_PARTS: dict[str, Part] = {"fine-tuning": Part(finetuning, 90)}
