"""Seconds of one update of SUPERB's linear head: `python -m benchmarks.superb_step [THREADS]`.

32 utterances of 12 s at 50 frames a second, as two batches of 16; layers in float16, in memory.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np
import torch

from unsup_asr.acoustic.linear_head import Layers, PhonemeRecognizer, RecognizerShape
from unsup_asr.acoustic.superb import Batch, PhonemeRecognition

UPSTREAMS = {"MFCC": (1, 117), "Base": (13, 768), "Large": (25, 1024)}
FRAMES, PHONES, REPEATS = 600, 40, 5


def seconds(num_layers: int, dim: int) -> tuple[float, float]:
    """Medians: to put a batch together, to make one update of two."""
    rng = np.random.default_rng(0)
    ids = [f"u{number}" for number in range(32)]
    layers: Layers = {
        layer: {i: rng.normal(size=(FRAMES, dim)).astype(np.float16) for i in ids}
        for layer in range(num_layers)
    }
    targets = {i: rng.integers(0, PHONES, size=120).astype(np.int32) for i in ids}
    shape = RecognizerShape(
        num_layers=num_layers, dim=dim, num_phones=PHONES, projection=256, normalise_layers=False
    )
    recognizer, training = PhonemeRecognizer(shape), PhonemeRecognition()
    optimizer = torch.optim.Adam(recognizer.parameters(), lr=training.learning_rate)
    batching, updating = [], []
    for _ in range(REPEATS):
        started = time.perf_counter()
        halves = (ids[:16], ids[16:])
        batches = [Batch.of(half, layers, targets, num_in_update=32) for half in halves]
        batched = time.perf_counter()
        training.update(recognizer, optimizer, batches)
        batching.append((batched - started) / 2)
        updating.append(time.perf_counter() - batched)
    return statistics.median(batching), statistics.median(updating)


def main() -> None:
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
    print("upstream  layers   dim  batch s  update s")
    for name, (num_layers, dim) in UPSTREAMS.items():
        batch_s, update_s = seconds(num_layers, dim)
        print(f"{name:<8}{num_layers:8}{dim:6}{batch_s:9.3f}{update_s:10.2f}", flush=True)


if __name__ == "__main__":
    main()
