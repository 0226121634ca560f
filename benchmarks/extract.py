"""Extraction and what streams over its shards: audio a second, and memory at 1 and at 10 hours.

    python -m benchmarks.extract [--hours 1 10] [--workers 2]

Two upstreams: a cheap one (log-mel energies, two layers of 512 dims out of 40 by a fixed matrix),
whose cost is reading and writing, for memory; and a network of wav2vec 2.0 Base's size with random
weights on a few minutes, for speed. Audio is 40 files of 15 s of noise, named again and again. Each
step has a process of its own. Resident memory (of the largest process) counts pages of mapped files
too, which the system takes back when it needs them; own memory does not.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import faiss
import numpy as np
import soundfile
import torch
import torchaudio
from torch import Tensor

from segmentation.kmeans import KMeans
from segmentation.pca import PCA
from unsup_asr.engine.record import peak_rss_mb
from unsup_asr.extraction.launchers.local import LocalProcesses, ThisProcess
from unsup_asr.extraction.plan import Extraction, extract, plan_shards
from unsup_asr.formats.ragged import RaggedArray, RaggedWriter
from unsup_asr.formats.sharded import ShardedArray, write_index
from unsup_asr.protocols import Launcher, UpstreamOutput
from unsup_asr.types import Utterance
from unsup_asr.upstreams.kaldi_features import KaldiFbank

RATE, FILE_S, NUM_FILES = 16000, 15.0, 40
CHEAP = "benchmarks.extract.CheapUpstream"
NETWORK = "benchmarks.extract.RandomNetwork"


class CheapUpstream:
    """Log-mel energies every 20 ms, spread over 512 dims by a fixed matrix; two equal layers."""

    sample_rate, frame_shift_samples, num_layers, dim = RATE, 320, 2, 512

    def __init__(self) -> None:
        self._fbank = KaldiFbank(frame_shift_ms=20.0)
        self._mixing_FD = torch.randn(40, self.dim, generator=torch.Generator().manual_seed(0))

    def encode(self, waves_BN: Tensor, lengths_B: Tensor) -> UpstreamOutput:
        output = self._fbank.encode(waves_BN, lengths_B)
        layer_BTD = output.layers_BTD[0] @ self._mixing_FD
        return UpstreamOutput([layer_BTD, layer_BTD], output.lengths_B)

    def fingerprint(self) -> str:
        return "cheap"


class RandomNetwork:
    """wav2vec 2.0 Base with random weights: 12 layers of 768 dims."""

    sample_rate, frame_shift_samples, num_layers, dim = RATE, 320, 12, 768

    def __init__(self) -> None:
        self._network = torchaudio.models.wav2vec2_base().eval()

    def encode(self, waves_BN: Tensor, lengths_B: Tensor) -> UpstreamOutput:
        layers_BTD, frames_B = self._network.extract_features(waves_BN, lengths_B)
        assert frames_B is not None
        return UpstreamOutput(layers_BTD, frames_B)

    def fingerprint(self) -> str:
        return "random"


class OwnMemory:
    """Peak of what is resident and no mapped file, looked at every 10 ms."""

    def __enter__(self) -> OwnMemory:
        self.peak_mb = 0.0
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ends.wait(0.01):
            status = Path("/proc/self/status").read_text("ascii")
            (kib,) = re.findall(r"RssAnon:\s+(\d+) kB", status)
            self.peak_mb = max(self.peak_mb, int(kib) * 1024 / 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--hours", type=float, nargs="+", default=[1.0, 10.0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--network-minutes", type=float, default=2.0)
    parser.add_argument("--step", nargs=3, metavar=("NAME", "FOLDER", "HOURS"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    if arguments.step:
        name, folder, hours = arguments.step
        with OwnMemory() as own:
            wall_s = STEPS[name](Path(folder), float(hours), arguments.workers)
        measured = {"wall_s": wall_s, "peak_mb": peak_rss_mb(), "own_mb": own.peak_mb}
        print(json.dumps(measured))
        return
    print(f"{'':<34}{'hours':>7}{'wall s':>9}{'audio s / s':>13}{'resident MB':>13}{'own MB':>8}")
    with tempfile.TemporaryDirectory() as scratch:
        write_audio(Path(scratch) / "audio")
        for name in STEPS:
            minutes = arguments.network_minutes
            for hours in [minutes / 60] if name.startswith("wav2vec") else arguments.hours:
                run_step(name, Path(scratch), hours, arguments.workers)


def run_step(name: str, scratch: Path, hours: float, workers: int) -> None:
    command = [sys.executable, "-m", "benchmarks.extract", "--workers", str(workers)]
    command += ["--step", name, str(scratch), str(hours)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name:<34}{hours:>7.2f}  {done.stderr.strip().splitlines()[-1]}")
        return
    found = json.loads(done.stdout.splitlines()[-1])
    speed = 3600 * hours / found["wall_s"]
    memory = f"{found['peak_mb']:>13.0f}{found['own_mb']:>8.0f}"
    print(f"{name:<34}{hours:>7.2f}{found['wall_s']:>9.1f}{speed:>13.0f}{memory}", flush=True)


def write_audio(folder: Path) -> None:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(NUM_FILES):
        noise = rng.normal(0, 0.1, int(RATE * FILE_S))
        soundfile.write(folder / f"{number}.flac", noise, RATE)


def job(folder: Path, hours: float, upstream: dict[str, object], layers: list[int]) -> Extraction:
    count = max(1, round(3600 * hours / FILE_S))
    audio = folder / "audio"
    utterances = [
        Utterance(f"u{i:06d}", str(audio / f"{i % NUM_FILES}.flac"), "s", FILE_S)
        for i in range(count)
    ]
    out = folder / f"{upstream['_target_']}-{hours}"
    return Extraction(
        upstream=upstream,
        layers=layers,
        device="cpu",
        batch_seconds=60.0,
        out=str(out),
        work=str(out / "work"),
        shards=tuple(plan_shards(utterances, split="train", shard_seconds=600.0)),
    )


def timed_extraction(made: Extraction, launcher: Launcher) -> float:
    started = time.monotonic()
    extract(made, launcher, attempts=1)
    return time.monotonic() - started


def one_worker(folder: Path, hours: float, workers: int) -> float:
    del workers
    return timed_extraction(job(folder, hours, {"_target_": CHEAP}, [0, 1]), ThisProcess())


def many_workers(folder: Path, hours: float, workers: int) -> float:
    again = folder / "many"
    again.mkdir(exist_ok=True)
    if not (again / "audio").exists():
        (again / "audio").symlink_to(folder / "audio")
    made = job(again, hours, {"_target_": CHEAP}, [0, 1])
    return timed_extraction(made, LocalProcesses(num_workers=workers))


def frames_of(folder: Path, hours: float) -> ShardedArray:
    made = job(folder, hours, {"_target_": CHEAP}, [0, 1])
    shards = Path(made.out) / "train"
    ids = [u.id for shard in made.shards for u in shard.utterances]
    write_index(shards, [shard.name for shard in made.shards], "layer_0", ids)
    return ShardedArray.open(shards, "layer_0")


def fit_pca(folder: Path, hours: float, workers: int) -> float:
    """Fit on all frames, out of the shards; write every frame's projection."""
    del workers
    frames, pca = frames_of(folder, hours), PCA(num_components=32)
    started = time.monotonic()
    pca.fit_blocks(frames.values())
    with RaggedWriter(folder / f"pca-{hours}", dtype="float16") as writer:
        for utterance_id, rows_TD in frames.items():
            writer.append(utterance_id, pca.apply(rows_TD))
    return time.monotonic() - started


def fit_kmeans(folder: Path, hours: float, workers: int) -> float:
    """Fit on a sample of 64 x 500 of the projected frames; assign all of them."""
    del workers
    rows = RaggedArray.open(folder / f"pca-{hours}")
    started = time.monotonic()
    kmeans = KMeans(num_clusters=64, niter=20, nredo=1, max_points_per_centroid=500)
    kmeans.fit(rows.values_array)
    for utterance_id in rows:
        kmeans.assign(rows[utterance_id])
    return time.monotonic() - started


def network(folder: Path, hours: float, workers: int) -> float:
    del workers
    return timed_extraction(
        job(folder, hours, {"_target_": NETWORK}, list(range(12))), ThisProcess()
    )


STEPS = {
    "extract, one process": one_worker,
    "extract, several processes": many_workers,
    "PCA to 32, fit and apply": fit_pca,
    "k-means 64, sampled fit, assign": fit_kmeans,
    "wav2vec 2.0 Base, 12 layers": network,
}


if __name__ == "__main__":
    main()
