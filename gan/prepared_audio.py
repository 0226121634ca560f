"""What the data preparation of fairseq's wav2vec-U 1.0 leaves beside features, and a generator
needs: centroids of k-means (`CLUS128/centroids.npy`) and principal components
(`pca/512_pca_A.npy`, `512_pca_b.npy`).

Axes: T frames, D dims, P components, K clusters, S segments.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unsup_asr.formats.checked import read_array

CENTROIDS = "clusters.centroids"


def read_prepared(folder: Path, *, num_components: int) -> dict[str, Tensor]:
    """`pca.weight` (P, D), `pca.bias` (P,) and `clusters.centroids` (K, D).

    ValueError where one is missing, there is a choice, or sizes do not fit each other.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; expected {_EXPECTED}")
    components = _only(folder, f"pca/{num_components}_pca_A.npy")
    A = _read(components)
    b = _read(_only(folder, f"pca/{num_components}_pca_b.npy"))
    path = _only(folder, "CLUS*/centroids.npy")
    centroids = _read(path)
    if A.ndim != 2 or A.shape[1] != num_components or b.shape != (num_components,):
        raise ValueError(
            f"{components}: of shape {tuple(A.shape)}, beside a b of {tuple(b.shape)}; expected "
            f"(dims, {num_components}) and ({num_components},), for x A + b"
        )
    if centroids.ndim != 2 or centroids.shape[1] != len(A):
        raise ValueError(
            f"{path}: of shape {tuple(centroids.shape)}; expected (clusters, {len(A)}), as "
            f"{components.name} has {len(A)} dims: they are of different upstreams"
        )
    return {"pca.weight": A.T, "pca.bias": b, CENTROIDS: centroids}


def segments_of_runs(frames_TD: Tensor, centroids_KD: Tensor) -> Tensor:
    """Of each frame the number of its run of equal clusters, (T,); a cluster is the nearest."""
    similarity_TK = 2 * frames_TD @ centroids_KD.T - centroids_KD.square().sum(1)
    cluster_T = similarity_TK.argmax(1)
    begins_T = torch.zeros_like(cluster_T)
    begins_T[1:] = (cluster_T[1:] != cluster_T[:-1]).long()
    return begins_T.cumsum(0)


def pairs(means_SP: Tensor) -> Tensor:
    """The mean of each two neighbours; the last of an odd number stays as it is."""
    if len(means_SP) % 2:
        means_SP = torch.cat([means_SP, means_SP[-1:]])
    return means_SP.unflatten(0, (-1, 2)).mean(1)


_EXPECTED = (
    "what fairseq's scripts/prepare_audio.sh has written, with CLUS128/centroids.npy and "
    "pca/512_pca_A.npy, 512_pca_b.npy"
)


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        names = f"{len(found)}: {', '.join(str(p.relative_to(folder)) for p in found)}"
        raise ValueError(
            f"{folder}: {names if found else 'none'} of {pattern}; expected one, in {_EXPECTED}"
        )
    return found[0]


def _read(path: Path) -> Tensor:
    found = read_array(path)
    if not np.issubdtype(found.dtype, np.floating):
        raise ValueError(f"{path}: numbers of type {found.dtype}; expected floats")
    return torch.from_numpy(found.astype(np.float32))
