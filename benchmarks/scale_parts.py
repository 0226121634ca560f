"""Own memory and time an hour of audio of PCA, k-means, the HMM and the evidence of segments, on
made-up features.

    python -m benchmarks.scale_parts --hours 0.1 1 [--only "HMM on MFCC"]

Each part runs in a process of its own. Memory is the peak of anonymous pages (RssAnon, sampled
every 10 ms) above that of the process before the part began; pages of memory-mapped files are not
counted. Both sizes must fill a block of 65536 rows (0.4 h at 50 Hz), or what grows is the block.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from segmentation.kmeans import KMeans
from segmentation.pca import PCA
from unsup_asr.acoustic.hmm import HMMTraining
from unsup_asr.acoustic.network import AcousticNetwork, NetworkShape, save_network
from unsup_asr.engine.artifacts import Artifact
from unsup_asr.formats.ragged import RaggedArray, RaggedWriter
from unsup_asr.steps.computed import Computed
from unsup_asr.steps.evidence import segment_evidence

_FRAMES_AN_UTTERANCE = 500
_PHONES = 40
_GROWS_MB_AN_HOUR = 5.0


def main() -> None:
    """Measure each part at two sizes; name those whose memory grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, nargs=2, default=(1.0, 10.0))
    parser.add_argument("--only", nargs="*", choices=list(_PARTS), default=list(_PARTS))
    arguments = parser.parse_args()
    small, large = arguments.hours
    spawn = multiprocessing.get_context("spawn")
    for name in arguments.only:
        dim, rate, _ = _PARTS[name]
        found = []
        for hours in (small, large):
            with tempfile.TemporaryDirectory() as folder:
                write_features(Path(folder), num_frames=int(hours * 3600 * rate), dim=dim)
                with spawn.Pool(1) as pool:
                    found.append(pool.apply(measured, (name, folder)))
        grows = (found[1][0] - found[0][0]) / (large - small)
        at_960 = found[1][0] + grows * (960 - large)
        print(
            f"{name}: {found[0][0]:.0f} MB, {found[1][0]:.0f} MB; {grows:+.1f} MB an hour, "
            f"960 h: {at_960:.0f} MB; {found[1][1] / large:.1f} s an hour"
            f"{'  GROWS' if grows > _GROWS_MB_AN_HOUR else ''}",
            flush=True,
        )


def write_features(folder: Path, *, num_frames: int, dim: int) -> None:
    """Cluster centres with noise in runs of 8 frames, float16; `labels` beside them."""
    rng = np.random.default_rng(0)
    centres_KD = rng.normal(size=(_PHONES, dim)).astype(np.float32)
    with (
        RaggedWriter(folder / "features", dtype="float16") as features,
        RaggedWriter(folder / "labels", dtype="int32") as labels,
    ):
        for i in range(max(1, num_frames // _FRAMES_AN_UTTERANCE)):
            label_T = np.repeat(rng.integers(_PHONES, size=64), 8)[:_FRAMES_AN_UTTERANCE]
            noise_TD = rng.normal(size=(len(label_T), dim)).astype(np.float32)
            features.append(f"u{i}", centres_KD[label_T] + noise_TD)
            labels.append(f"u{i}", label_T)


def measured(name: str, folder: str) -> tuple[float, float]:
    """Peak own memory in MB and seconds of a part."""
    features = RaggedArray.open(Path(folder) / "features")
    labels = RaggedArray.open(Path(folder) / "labels")
    return peak_of(lambda: _PARTS[name][2](features, labels))


def peak_of(call: Callable[[], None]) -> tuple[float, float]:
    """Peak own memory in MB above what there was, and seconds, of a call."""
    before, peak, is_over = _anonymous_mb(), [0.0], threading.Event()

    def watch() -> None:
        while not is_over.wait(0.01):
            peak[0] = max(peak[0], _anonymous_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    call()
    seconds = time.perf_counter() - start
    is_over.set()
    watcher.join()
    return max(peak[0] - before, 0.0), seconds


def _anonymous_mb() -> float:
    status = Path("/proc/self/status").read_text("utf-8")
    return int(status.split("RssAnon:")[1].split()[0]) / 1024


def _pca(features: RaggedArray, labels: RaggedArray) -> None:
    PCA().fit(features.values_array)


def _kmeans(features: RaggedArray, labels: RaggedArray) -> None:
    kmeans = KMeans(niter=5, nredo=1, max_points_per_centroid=64)
    kmeans.fit(features.values_array)
    kmeans.assign(features.values_array)


def _hmm(features: RaggedArray, labels: RaggedArray) -> None:
    phones = [f"p{p}" for p in range(_PHONES)]
    HMMTraining().train(features, {i: np.array(labels[i]) for i in labels}, phones=phones)


def _evidence(features: RaggedArray, labels: RaggedArray) -> None:
    """What a small network hears in segments of 80 ms."""
    shape = NetworkShape(input_dim=features.values_array.shape[1], num_outputs=_PHONES + 1)
    network = AcousticNetwork(shape, torch.Generator().manual_seed(0))
    edges = Computed(features.ids, lambda i: np.arange(0, len(labels[i]) + 4, 8, dtype=np.int32))
    with tempfile.TemporaryDirectory() as folder:
        save_network(network.eval(), Path(folder))
        made = Artifact("made up", Path(folder), reads_references=False)
        segment_evidence(made, features, edges, num_phones=_PHONES, out=Path(folder) / "evidence")


_PARTS: dict[str, tuple[int, float, Callable[[RaggedArray, RaggedArray], None]]] = {
    "PCA 1024 to 512": (1024, 50.0, _pca),
    "k-means of MFCC": (39, 100.0, _kmeans),
    "HMM on MFCC": (39, 100.0, _hmm),
    "evidence of segments": (39, 100.0, _evidence),
}

if __name__ == "__main__":
    main()
