"""k-means over frames or segments with faiss.

Axes: N rows, D dims, K clusters.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from segmentation.checks import blocks, check_rows
from unsup_asr import compute
from unsup_asr.formats.checked import read_array
from unsup_asr.ranges import NonNegativeInt, PositiveInt, Seed
from unsup_asr.types import Float32Array, Int32Array


@dataclass
class KMeans:
    """Lloyd's algorithm on squared Euclidean distance, the best of `nredo` starts.

    The defaults are wav2vec-U's CLUS128 (Baevski et al. 2021): 128 clusters, 50 iterations, 3
    starts; of more than 3 hours of frames a sample. faiss works on a GPU where this process
    computes on one and faiss sees it. The same seed gives the same centroids on the same machine.
    """

    num_clusters: PositiveInt = 128
    niter: PositiveInt = 50
    nredo: PositiveInt = 3
    # A random sample of at most K times as many rows; 0: all of them, as published.
    max_points_per_centroid: NonNegativeInt = 4096
    seed: Seed = 0
    centroids_KD: Float32Array | None = field(init=False, repr=False, default=None)

    def fit(self, rows_ND: NDArray[np.floating]) -> None:
        """Find the centroids; ValueError for NaN or fewer rows than clusters.

        Of rows in a memory map, no more than the sample is in memory.
        """
        check_rows(rows_ND, what="k-means input")
        num_rows, dim = rows_ND.shape
        if num_rows < self.num_clusters:
            raise ValueError(
                f"k-means: {num_rows} rows for {self.num_clusters} clusters; expected at least one "
                "row a cluster. Lower num_clusters or use more audio"
            )
        sample_ND = self._sample(rows_ND)
        kmeans = faiss.Kmeans(
            dim,
            self.num_clusters,
            niter=self.niter,
            nredo=self.nredo,
            seed=self.seed,
            gpu=_is_gpu_seen(),
            min_points_per_centroid=1,
            max_points_per_centroid=len(sample_ND),
        )
        kmeans.train(np.ascontiguousarray(sample_ND, dtype=np.float32))
        self.centroids_KD = np.asarray(kmeans.centroids, dtype=np.float32)

    def assign(self, rows_ND: NDArray[np.floating]) -> Int32Array:
        """Nearest centroid of each row, (N,), 0 to K - 1; some rows at a time."""
        centroids_KD = self.fitted_centroids()
        check_rows(rows_ND, what="k-means input", dim=centroids_KD.shape[1])
        index = faiss.IndexFlatL2(centroids_KD.shape[1])
        if _is_gpu_seen():
            index = faiss.index_cpu_to_all_gpus(index)
        index.add(centroids_KD)  # pyright: ignore[reportCallIssue]
        nearest: list[Int32Array] = []
        for block_ND in blocks(rows_ND):
            rows = np.ascontiguousarray(block_ND, dtype=np.float32)
            _, nearest_N1 = index.search(rows, 1)  # pyright: ignore[reportCallIssue]
            nearest.append(nearest_N1[:, 0].astype(np.int32))
        return np.concatenate(nearest)

    def _sample(self, rows_ND: NDArray[np.floating]) -> NDArray[np.floating]:
        """All rows, or as many as `max_points_per_centroid` allows, at random, in their order."""
        limit = self.num_clusters * self.max_points_per_centroid
        if not limit or limit >= len(rows_ND):
            return rows_ND
        rng = np.random.default_rng(self.seed)
        return rows_ND[np.sort(rng.choice(len(rows_ND), limit, replace=False))]

    def fitted_centroids(self) -> Float32Array:
        """(K, D); ValueError before `fit` or `load`."""
        if self.centroids_KD is None:
            raise ValueError("k-means has no centroids yet: call fit or load first")
        return self.centroids_KD

    def save(self, folder: Path) -> None:
        """Write centroids.npy and kmeans.json."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "centroids.npy", self.fitted_centroids(), allow_pickle=False)
        options = {k: v for k, v in asdict(self).items() if k != "centroids_KD"}
        (folder / "kmeans.json").write_text(json.dumps(options, indent=1), "utf-8")

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote; ValueError when it has another number of clusters."""
        path = folder / "centroids.npy"
        centroids_KD = read_array(path)
        if centroids_KD.ndim != 2 or len(centroids_KD) != self.num_clusters:
            raise ValueError(
                f"{path}: centroids of shape {centroids_KD.shape}; expected "
                f"({self.num_clusters}, dim). Set num_clusters to what was saved, or fit again"
            )
        self.centroids_KD = centroids_KD.astype(np.float32)


def _is_gpu_seen() -> bool:
    return compute.device().type == "cuda" and faiss.get_num_gpus() > 0
