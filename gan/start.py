"""What a generator reads of each segment, and the map it starts from, if any.

`MatchedStart` begins with what matching found; `OneHotClusters` gives the cluster alone, so that a
generator of kernel 1 is a cluster-to-phone table (Liu et al. 2018). Without either the generator
reads the pooled features.

Axes: S segments, D dims, K clusters, V phones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unsup_asr.ranges import OpenFraction
from unsup_asr.types import Float32Array, Int32Array

_ROWS_AT_ONCE = 2**16


@dataclass(frozen=True)
class MatchedStart:
    """Standardised features beside the logarithm of the matched posteriors.

    The first map is zero for the features and the identity for the rest: nothing is lost at the
    start, and the features can only add. `floor` keeps a posterior of 0 from a weight of infinity.
    """

    floor: OpenFraction = 1e-4

    def fit(self, features_ND: Float32Array, table_KV: Float32Array) -> MatchedInput:
        """Statistics of training segments."""
        first_D = np.zeros(features_ND.shape[1])
        second = 0.0
        for start in range(0, len(features_ND), _ROWS_AT_ONCE):  # they may lie on disk
            rows_ND = features_ND[start : start + _ROWS_AT_ONCE].astype(np.float64)
            first_D += rows_ND.sum(0)
            second += float(np.square(rows_ND).sum())
        mean_D = first_D / len(features_ND)
        variance = second / features_ND.size - float(mean_D.mean()) ** 2
        scale = float(np.sqrt(max(variance, 0.0)))
        return MatchedInput(mean_D.astype(np.float32), scale, np.log(table_KV + self.floor))


@dataclass(frozen=True)
class MatchedInput:
    """Features shifted by `mean_D` and divided by one `scale`, which keeps their proportions."""

    mean_D: Float32Array
    scale: float
    log_table_KV: Float32Array

    def rows(self, features_SD: Float32Array, clusters_S: Int32Array) -> Float32Array:
        """Generator input (S, D + V); ValueError where the two disagree."""
        if len(features_SD) != len(clusters_S):
            raise ValueError(
                f"{len(features_SD)} segments have features and {len(clusters_S)} have clusters: "
                "were both made from the same segments?"
            )
        standard = (features_SD - self.mean_D) / self.scale
        return np.concatenate([standard, self.log_table_KV[clusters_S]], axis=1).astype(np.float32)

    @property
    def first_map(self) -> Float32Array | None:
        """`generator_init` (D + V, V): ignore the features, repeat the matched posteriors."""
        num_phones = self.log_table_KV.shape[1]
        zeros = np.zeros((len(self.mean_D), num_phones), dtype=np.float32)
        return np.concatenate([zeros, np.eye(num_phones, dtype=np.float32)])


@dataclass(frozen=True)
class OneHotClusters:
    """The cluster of each segment and nothing else."""

    def fit(self, features_ND: Float32Array, table_KV: Float32Array) -> ClusterInput:
        """The number of clusters; what matching found is not used."""
        return ClusterInput(len(table_KV))


@dataclass(frozen=True)
class ClusterInput:
    """One column a cluster."""

    num_clusters: int

    def rows(self, features_SD: Float32Array, clusters_S: Int32Array) -> Float32Array:
        """Generator input (S, K)."""
        return np.eye(self.num_clusters, dtype=np.float32)[clusters_S]

    @property
    def first_map(self) -> Float32Array | None:
        """None: a random start."""
        return None
