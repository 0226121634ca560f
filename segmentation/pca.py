"""Principal components, without whitening, of rows that need not fit into memory.

Whitened components make every cluster-to-phone mapping equally easy; the variances are kept.
Axes: N rows, D input dims, P components.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segmentation.checks import blocks, check_rows, check_shape
from unsup_asr import compute
from unsup_asr.formats.checked import read_array
from unsup_asr.ranges import PositiveInt
from unsup_asr.types import Float32Array


@dataclass
class PCA:
    """x A + b with A (D, P): the centred projection on the `num_components` largest variances.

    The default is wav2vec-U's 512 (Baevski et al. 2021).
    """

    num_components: PositiveInt = 512
    projection_DP: Float32Array | None = field(init=False, repr=False, default=None)
    bias_P: Float32Array | None = field(init=False, repr=False, default=None)

    def fit(self, rows_ND: NDArray[np.floating]) -> None:
        """Learn the projection; ValueError for NaN or fewer dims or rows than components."""
        check_shape(rows_ND, what="PCA input")
        self.fit_blocks(blocks(rows_ND))

    def fit_blocks(self, blocks_ND: Iterable[NDArray[np.floating]]) -> None:
        """As `fit`, of rows that come in blocks, each of which is read once.

        The covariance is summed in double precision, around the mean of the first block, where this
        process computes.
        """
        num_rows, shift_D = 0, None
        total_D: Tensor | float = 0.0
        products_DD: Tensor | float = 0.0
        for block_ND in blocks_ND:
            check_rows(block_ND, what="PCA input", dim=None if shift_D is None else len(shift_D))
            wide_ND = torch.from_numpy(block_ND.astype(np.float64)).to(compute.device())
            if shift_D is None:
                shift_D = wide_ND.mean(0)
            wide_ND -= shift_D
            num_rows += len(wide_ND)
            total_D = total_D + wide_ND.sum(0)
            products_DD = products_DD + wide_ND.T @ wide_ND
        dim = 0 if shift_D is None else len(shift_D)
        if shift_D is None or min(num_rows, dim) < self.num_components:
            raise ValueError(
                f"PCA: {num_rows} rows of {dim} dims for {self.num_components} components; "
                "expected at least as many of both. Lower num_components or use more audio"
            )
        assert isinstance(total_D, Tensor)
        assert isinstance(products_DD, Tensor)
        first_D, mean_D = shift_D.cpu().numpy(), total_D.cpu().numpy() / num_rows
        covariance_DD = products_DD.cpu().numpy() / num_rows - np.outer(mean_D, mean_D)
        _, vectors_DD = np.linalg.eigh(covariance_DD)  # smallest variance first
        vectors_DP = vectors_DD[:, ::-1][:, : self.num_components]
        largest_P = np.abs(vectors_DP).argmax(axis=0)  # a component's sign is free: fix it
        vectors_DP = vectors_DP * np.sign(vectors_DP[largest_P, np.arange(self.num_components)])
        self.projection_DP = np.ascontiguousarray(vectors_DP, dtype=np.float32)
        self.bias_P = (-(first_D + mean_D) @ vectors_DP).astype(np.float32)

    def apply(self, rows_ND: NDArray[np.floating]) -> Float32Array:
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
        projection_DP, bias_P = read_array(folder / "pca_A.npy"), read_array(folder / "pca_b.npy")
        if projection_DP.ndim != 2 or projection_DP.shape[1] != self.num_components:
            raise ValueError(
                f"{folder / 'pca_A.npy'}: shape {projection_DP.shape}; expected "
                f"(dims, {self.num_components}). Set num_components to what was saved, or fit again"
            )
        if bias_P.shape != projection_DP.shape[1:]:
            raise ValueError(
                f"{folder / 'pca_b.npy'}: shape {bias_P.shape}; expected ({self.num_components},)"
            )
        self.projection_DP = projection_DP.astype(np.float32)
        self.bias_P = bias_P.astype(np.float32)
