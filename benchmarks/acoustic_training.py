"""How fast acoustic models learn and listen here, and in how much memory.

    python -m benchmarks.acoustic_training [--hours H] [--precision P] [--processes N]

Made-up features of H hours lie on disk, as stages read them. For the networks of
`self_training=ctc` (MFCC) and of `ctc_augmented` on 1024 dims at 50 Hz: seconds of audio learned a
second (one epoch of CTC, of the frame classifier) or heard a second (posteriors by block, and all
at once), and the most memory of its own that each took, above what a process has that has done it
for one batch. Each figure is of a process of its own, on `--device`.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from unsup_asr import compute
from unsup_asr.acoustic.network import AcousticNetwork, NetworkShape
from unsup_asr.acoustic.posteriors import log_posteriors, posterior_blocks
from unsup_asr.acoustic.training import NetworkTraining
from unsup_asr.commands.run import bound_kernels
from unsup_asr.formats.ragged import RaggedArray, RaggedWriter
from unsup_asr.types import Float32Array, Int32Array

PHONES, FRAMES_A_PHONE = 40, 8
Speech = tuple[Mapping[str, Float32Array], Mapping[str, Int32Array]]
DEMO = NetworkTraining(
    num_layers=3, dropout=0.25, epochs=1, max_masked_frames=15, noise=0.4, max_stretch=1.3
)
SIZES = {  # dims, frames a second, training
    "MFCC, 3 x 160": (39, 100, DEMO),
    "1024 dims, 3 x 256": (1024, 50, replace(DEMO, hidden=256, kernel=7)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed and memory of acoustic models")
    parser.add_argument("--hours", type=float, default=0.5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), action="append")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    print(f"{options.hours} h, {options.threads} threads, {options.processes} processes")
    print(f"{'':58}audio s / s   own MB")
    alone = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1)
    with tempfile.TemporaryDirectory() as folder, alone as pool:
        for name, (dim, rate, training) in SIZES.items():
            speech = made_up(Path(folder) / name, options.hours, dim, rate)
            for precision in options.precision or ("float32", "bfloat16"):
                for what in WORK:
                    setting = (options.device, precision, options.threads, options.processes)
                    measured = pool.submit(measure, what, speech, training, setting)
                    elapsed, own_mb = measured.result()
                    speed = len(speech[0].values_array) / rate / elapsed
                    line = f"{name}, {precision}, {what}"
                    print(f"{line:58}{speed:11.0f}{own_mb:9.0f}", flush=True)


def made_up(folder: Path, hours: float, dim: int, rate: int) -> tuple[RaggedArray, RaggedArray]:
    """Utterances of 2 to 20 s; a phone every so many frames."""
    rng = np.random.default_rng(0)
    with (
        RaggedWriter(folder / "x", dtype="float16") as features,
        RaggedWriter(folder / "y", dtype="int32") as phones,
    ):
        left = round(hours * 3600 * rate)
        while left > 0:
            length = int(rng.integers(2 * rate, 20 * rate))
            x_TD = rng.standard_normal((length, dim), dtype=np.float32)
            features.append(f"u{len(features):06d}", x_TD)
            said = rng.integers(0, PHONES, length // FRAMES_A_PHONE)
            phones.append(f"u{len(phones):06d}", said)
            left -= length
    return RaggedArray.open(folder / "x"), RaggedArray.open(folder / "y")


def measure(
    what: str, speech: Speech, training: NetworkTraining, setting: tuple[str, str, int, int]
) -> tuple[float, float]:
    """Seconds, and MB of its own."""
    device, precision, num_threads, num_processes = setting
    torch.set_num_threads(num_threads)
    bound_kernels()
    few = {i: speech[0][i] for i in list(speech[0])[:8]}, speech[1]
    with compute.using(device, precision):
        network = AcousticNetwork(
            NetworkShape(
                input_dim=next(iter(few[0].values())).shape[1],
                num_outputs=PHONES + 1,
                hidden=training.hidden,
                kernel=training.kernel,
                num_layers=training.num_layers,
                stack=training.stack,
            )
        )
        work = WORK[what]
        work(network, few, training, 1)
        with own_memory() as peak_mb:
            started = time.perf_counter()
            work(network, speech, training, num_processes)
            return time.perf_counter() - started, peak_mb[0]


def learn_ctc(
    network: AcousticNetwork, speech: Speech, training: NetworkTraining, num_processes: int
) -> None:
    del network
    features, phones = speech
    targets = {i: phones[i] for i in features}
    training.train_ctc(features, targets, num_phones=PHONES, num_processes=num_processes)


def learn_frames(
    network: AcousticNetwork, speech: Speech, training: NetworkTraining, num_processes: int
) -> None:
    del network
    features, phones = speech
    labels = {
        i: np.resize(phones[i], -(-len(features[i]) // training.stack)).astype(np.int32)
        for i in features
    }
    training.train_frames(features, labels, num_phones=PHONES, num_processes=num_processes)


def hear_blocks(network: AcousticNetwork, speech: Speech, *_: object) -> None:
    for _block in posterior_blocks(network, speech[0]):
        pass


def hear_all(network: AcousticNetwork, speech: Speech, *_: object) -> None:
    log_posteriors(network, speech[0])


@contextlib.contextmanager
def own_memory() -> Iterator[list[float]]:
    """The most anonymous memory inside, in MB, above that at the start; files that are mapped are
    not counted, nor other processes.
    """
    before, done = _anonymous_mb(), threading.Event()
    peak = [0.0]

    def watch() -> None:
        while not done.wait(0.01):
            peak[0] = max(peak[0], _anonymous_mb() - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def _anonymous_mb() -> float:
    for line in Path("/proc/self/status").read_text("utf-8").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    return float("nan")


WORK = {
    "CTC": learn_ctc,
    "frame classifier": learn_frames,
    "posteriors by block": hear_blocks,
    "posteriors all at once": hear_all,
}

if __name__ == "__main__":
    main()
