"""Boundaries from clusters: runs of one cluster, or the cheapest path over centroids.

Axes: T frames, D dims, K clusters.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segmentation.checks import check_rows
from segmentation.kmeans import KMeans
from unsup_asr.formats.checked import read_array, reading
from unsup_asr.protocols import UtteranceFrames
from unsup_asr.ranges import NonNegative
from unsup_asr.speech.runs import run_edges
from unsup_asr.types import Float32Array, FrameTiming, Int32Array


@dataclass
class ClusterRuns:
    """A segment is a maximal run of frames in one k-means cluster (Baevski et al. 2021).

    Then `mean_pool` each run of the PCA features and `mean_pool_adjacent` the result.
    """

    kmeans: KMeans = field(default_factory=KMeans)

    def fit(self, features: UtteranceFrames, timing: FrameTiming) -> None:
        """Cluster all training frames."""
        del timing
        self.kmeans.fit(features.values_array)

    def boundaries(self, features_TD: Float32Array) -> Int32Array:
        """Strictly increasing frame indices from 0 to T."""
        return run_edges(self.kmeans.assign(features_TD)).astype(np.int32)

    def save(self, folder: Path) -> None:
        """Write the centroids."""
        self.kmeans.save(folder)

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote."""
        self.kmeans.load(folder)


@dataclass
class SwitchPenaltyViterbi:
    """Runs of the path over clusters that minimises distances plus a price for each switch.

    min over paths of sum_t |x_t - c(path_t)|^2 + switch_penalty * number of switches, with the
    distance divided by its mean over the training frames, so that the penalty does not depend on
    the scale of the features. After Kamper and van Niekerk 2021 (duration-penalised segmentation).
    """

    kmeans: KMeans = field(default_factory=lambda: KMeans(num_clusters=64))
    # In mean squared distances of a frame to its nearest centroid.
    switch_penalty: NonNegative = 6.0
    mean_distance: float | None = field(init=False, repr=False, default=None)

    def fit(self, features: UtteranceFrames, timing: FrameTiming) -> None:
        """Cluster all training frames; measure their mean distance."""
        del timing
        rows_ND = features.values_array
        self.kmeans.fit(rows_ND)
        some_ND = rows_ND[:: max(1, len(rows_ND) // 100_000)]
        self._measure(np.asarray(some_ND, dtype=np.float32))

    def boundaries(self, features_TD: Float32Array) -> Int32Array:
        """Strictly increasing frame indices from 0 to T."""
        centroids_KD = self.kmeans.fitted_centroids()
        check_rows(features_TD, what="Viterbi segmentation", dim=centroids_KD.shape[1])
        if self.mean_distance is None:
            raise ValueError("SwitchPenaltyViterbi is not fitted yet: call fit or load first")
        distances_TK = _squared_distances(features_TD, centroids_KD) / self.mean_distance
        path_T = cheapest_path(distances_TK, self.switch_penalty)
        return run_edges(path_T).astype(np.int32)

    def save(self, folder: Path) -> None:
        """Write the centroids and the mean distance."""
        if self.mean_distance is None:
            raise ValueError("SwitchPenaltyViterbi is not fitted yet: call fit or load first")
        self.kmeans.save(folder)
        np.save(folder / "mean_distance.npy", np.array(self.mean_distance), allow_pickle=False)

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote."""
        self.kmeans.load(folder)
        path = folder / "mean_distance.npy"
        with reading(path, "one number"):
            self.mean_distance = float(read_array(path))

    def _measure(self, rows_ND: Float32Array) -> None:
        nearest_N = self.kmeans.assign(rows_ND)
        difference_ND = rows_ND - self.kmeans.fitted_centroids()[nearest_N]
        mean_distance = float(np.square(difference_ND).sum(axis=1).mean())
        if mean_distance <= 0:
            raise ValueError(
                "every frame lies on a centroid: fewer distinct frames than clusters. "
                "Lower num_clusters or use more audio"
            )
        self.mean_distance = mean_distance


def cheapest_path(costs_TK: NDArray[np.floating], switch_penalty: float) -> Int32Array:
    """Labels (T,) that minimise the sum of their costs plus `switch_penalty` for each change.

    A switch comes from the best label of the frame before, whichever: O(T K), not O(T K^2).
    """
    num_frames, num_labels = costs_TK.shape
    total_K = costs_TK[0].astype(np.float64)
    came_from_TK = np.empty((num_frames, num_labels), dtype=np.int32)
    stay_K = np.arange(num_labels, dtype=np.int32)
    for t in range(1, num_frames):
        best = int(total_K.argmin())
        switched = total_K[best] + switch_penalty
        is_switch_K = switched < total_K
        came_from_TK[t] = np.where(is_switch_K, best, stay_K)
        total_K = np.where(is_switch_K, switched, total_K) + costs_TK[t]
    path_T = np.empty(num_frames, dtype=np.int32)
    path_T[-1] = total_K.argmin()
    for t in range(num_frames - 1, 0, -1):
        path_T[t - 1] = came_from_TK[t, path_T[t]]
    return path_T


def _squared_distances(rows_TD: Float32Array, centroids_KD: Float32Array) -> Float32Array:
    squares_T1 = np.square(rows_TD).sum(axis=1, keepdims=True)
    squares_K = np.square(centroids_KD).sum(axis=1)
    return np.maximum(squares_T1 - 2 * rows_TD @ centroids_KD.T + squares_K, 0)
