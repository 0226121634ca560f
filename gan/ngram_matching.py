"""Empirical output distribution matching: no discriminator, the text's N-grams themselves.

Yeh et al. 2019, eq. 5: with z an N-gram of text and P_LM(z) its frequency,

    J = - sum_z P_LM(z) log  mean over windows of  prod_i p(y = z_i | segment i)

The log of a mean over a batch is biased, so batches must be large. Frames of one segment should
have one phone: a penalty on the distance of the posteriors of neighbouring frames (their eq. 8).

Axes: M members, N packed rows, F frames drawn of a segment, Z N-grams, V phones, B sequences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gan.packing import Packing
from unsup_asr.types import Int32Array, Int64Array


@dataclass(frozen=True)
class NgramTable:
    """The most frequent N-grams of text, as phone ids (Z, order), and their shares (Z,)."""

    ngrams: Tensor
    shares_Z: Tensor

    @property
    def order(self) -> int:
        """N."""
        return self.ngrams.shape[1]

    @classmethod
    def of_text(
        cls, values: Int32Array, offsets: Int64Array, *, order: int, most: int
    ) -> NgramTable:
        """Count N-grams inside sentences; keep the `most` frequent. ValueError if there is none."""
        windows = np.lib.stride_tricks.sliding_window_view(values, order) if len(values) else []
        sentence = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        inside = sentence[: len(windows)] == sentence[order - 1 :]
        if not inside.any():
            raise ValueError(
                f"no sentence of the text has {order} phones; lower ngram_order or use more text"
            )
        ngrams, counts = np.unique(np.asarray(windows)[inside], axis=0, return_counts=True)
        kept = np.argsort(-counts, kind="stable")[:most]
        shares = counts[kept] / counts[kept].sum()
        return cls(
            torch.from_numpy(ngrams[kept].astype(np.int64)), torch.from_numpy(shares).float()
        )

    def to(self, device: str) -> NgramTable:
        """The same table on a device."""
        return NgramTable(self.ngrams.to(device), self.shares_Z.to(device))


def ngram_loss(posteriors_MNV: Tensor, packing: Packing, table: NgramTable) -> Tensor:
    """Cross-entropy of the text's N-grams under the expected N-grams of the output: (M,)."""
    sequence, order = packing.sequence_MN, table.order
    windows = sequence.shape[1] - order + 1
    if windows < 1:
        raise ValueError(f"the batch has fewer than {order} segments; raise batch_size")
    is_inside_MN = (sequence[:, :windows] == sequence[:, order - 1 :]) & ~packing.is_filler_MN[
        :, order - 1 :
    ]
    logs_MNV = torch.log(posteriors_MNV.clamp_min(1e-20))
    expected = []
    for member, is_inside_N in enumerate(is_inside_MN):
        joint = torch.zeros((), device=logs_MNV.device)
        for place in range(order):
            joint = joint + logs_MNV[member, place : place + windows][:, table.ngrams[:, place]]
        kept_WZ = joint.masked_fill(~is_inside_N[:, None], -torch.inf)
        expected.append(torch.logsumexp(kept_WZ, 0) - is_inside_N.sum().clamp_min(1).log())
    return -(table.shares_Z * torch.stack(expected)).sum(1)


def frame_smoothness(posteriors_MNFV: Tensor, packing: Packing) -> Tensor:
    """Mean over segments of the squared distances of neighbouring frames' posteriors: (M,)."""
    steps = posteriors_MNFV[:, :, 1:] - posteriors_MNFV[:, :, :-1]
    distances_MN = steps.square().sum((2, 3)).masked_fill(packing.is_filler_MN, 0.0)
    return distances_MN.sum(1) / packing.lengths_MB.sum(1)


def draw_frames(
    values_MNFV: Tensor, packing: Packing, rngs: Sequence[np.random.Generator]
) -> Tensor:
    """One frame's row of each segment, drawn by each member's own rng: (M, N, V)."""
    drawn = torch.zeros(values_MNFV.shape[:2], dtype=torch.int64)
    for row, rng, count in zip(drawn, rngs, packing.most_rows, strict=True):
        row[:count] = torch.from_numpy(rng.integers(values_MNFV.shape[2], size=count))
    index = drawn.to(values_MNFV.device)[..., None, None].expand(-1, -1, 1, values_MNFV.shape[3])
    return values_MNFV.gather(2, index)[:, :, 0]
