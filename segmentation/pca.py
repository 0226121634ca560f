"""Principal components, without whitening.

Whitened components make every cluster-to-phone mapping equally easy; the variances are kept.
Axes: N rows, D input dims, P components.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import faiss
import numpy as np

from segmentation.checks import check_rows
from unsup_asr.types import Float32Array


@dataclass
class PCA:
    """x A + b with A (D, P): the centred projection on the `num_components` largest variances.

    The default is wav2vec-U's 512 (Baevski et al. 2021).
    """

    num_components: int = 512
    projection_DP: Float32Array | None = field(init=False, repr=False, default=None)
    bias_P: Float32Array | None = field(init=False, repr=False, default=None)

    def fit(self, rows_ND: Float32Array) -> None:
        """Learn the projection; ValueError for NaN or fewer dims or rows than components."""
        check_rows(rows_ND, what="PCA input")
        num_rows, dim = rows_ND.shape
        if min(num_rows, dim) < self.num_components:
            raise ValueError(
                f"PCA: {num_rows} rows of {dim} dims for {self.num_components} components; "
                "expected at least as many of both. Lower num_components or use more audio"
            )
        matrix = faiss.PCAMatrix(dim, self.num_components, 0.0)
        matrix.train(np.ascontiguousarray(rows_ND, dtype=np.float32))  # pyright: ignore[reportCallIssue]
        projection_PD = faiss.vector_to_array(matrix.A).reshape(self.num_components, dim)
        self.projection_DP = np.ascontiguousarray(projection_PD.T, dtype=np.float32)
        self.bias_P = np.asarray(faiss.vector_to_array(matrix.b), dtype=np.float32)

    def apply(self, rows_ND: Float32Array) -> Float32Array:
        """Projected rows, (N, P)."""
        if self.projection_DP is None or self.bias_P is None:
            raise ValueError("PCA has no projection yet: call fit or load first")
        check_rows(rows_ND, what="PCA input", dim=len(self.projection_DP))
        return rows_ND.astype(np.float32, copy=False) @ self.projection_DP + self.bias_P

    def save(self, folder: Path) -> None:
        """Write pca_A.npy (D, P) and pca_b.npy (P,)."""
        if self.projection_DP is None or self.bias_P is None:
            raise ValueError("PCA has no projection yet: call fit or load first")
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "pca_A.npy", self.projection_DP, allow_pickle=False)
        np.save(folder / "pca_b.npy", self.bias_P, allow_pickle=False)

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote; ValueError when it has another number of components."""
        for name in ("pca_A.npy", "pca_b.npy"):
            if not (folder / name).is_file():
                raise ValueError(f"{folder / name} does not exist; expected what PCA.save wrote")
        projection_DP = np.load(folder / "pca_A.npy", allow_pickle=False)
        if projection_DP.ndim != 2 or projection_DP.shape[1] != self.num_components:
            raise ValueError(
                f"{folder / 'pca_A.npy'}: shape {projection_DP.shape}; expected "
                f"(dims, {self.num_components}). Set num_components to what was saved, or fit again"
            )
        self.projection_DP = projection_DP.astype(np.float32)
        self.bias_P = np.load(folder / "pca_b.npy", allow_pickle=False).astype(np.float32)
