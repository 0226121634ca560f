"""Empirical output distribution matching: no discriminator, the text's N-grams themselves.

Yeh et al. 2019, eq. 5: with z an N-gram of text and P_LM(z) its frequency,

    J = - sum_z P_LM(z) log  mean over windows of  prod_i p(y = z_i | segment i)

The log of a mean over a batch is biased, so batches must be large. Frames of one segment should
have one phone: a penalty on the distance of the posteriors of neighbouring frames (their eq. 8).

Axes: M members, N packed rows, F frames drawn of a segment, Z N-grams, V phones, B sequences.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gan.draws import Draws
from gan.packing import Packing
from unsup_asr.types import Int32Array, Int64Array

_CELLS_AT_ONCE = 1 << 18  # windows times N-grams: 1 MB, which a cache holds


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

    def to(self, device: torch.device | str) -> NgramTable:
        """The same table on a device."""
        return NgramTable(self.ngrams.to(device), self.shares_Z.to(device))


def ngram_loss(posteriors_MNV: Tensor, packing: Packing, table: NgramTable) -> Tensor:
    """Cross-entropy of the text's N-grams under the expected N-grams of the output: (M,)."""
    sequence, order = packing.sequence_MN, table.order
    lengths_MB = packing.lengths_MB if packing.host_lengths_MB is None else packing.host_lengths_MB
    if not bool((lengths_MB >= order).any(1).all()):
        raise ValueError(
            f"no utterance of the batch has {order} segments; raise batch_size or lower ngram_order"
        )
    windows, last = sequence.shape[1] - order + 1, slice(order - 1, None)
    is_inside_MN = sequence[:, :windows] == sequence[:, last]
    is_inside_MN &= ~packing.is_filler_MN[:, last]
    logs_MVN = torch.log(posteriors_MNV.clamp_min(1e-20)).transpose(1, 2).contiguous()
    return torch.stack(
        [
            _NgramCrossEntropy.apply(logs_VN, is_inside_W, table)
            for logs_VN, is_inside_W in zip(logs_MVN, is_inside_MN, strict=True)
        ]
    )


class _NgramCrossEntropy(torch.autograd.Function):
    """-sum_z P_LM(z) log mean_w prod_i p(z_i | w + i), with its slope in the same pass.

    d / d log p(v | n) = -sum over z and i with z_i = v of P_LM(z) r_z(n - i), where r_z(w), the
    share of window w in the expected count of z, sums to 1 over windows. A few N-grams at a time,
    so that neither memory nor caches hold all windows times all N-grams.
    """

    @staticmethod
    def forward(ctx, logs_VN: Tensor, is_inside_W: Tensor, table: NgramTable) -> Tensor:
        num_windows = len(is_inside_W)
        outside_W = torch.zeros_like(logs_VN[0, :num_windows])
        outside_W.masked_fill_(~is_inside_W, -torch.inf)
        slope_VN = torch.zeros_like(logs_VN)
        loss = is_inside_W.sum().clamp_min(1).log().to(logs_VN.dtype)
        num_at_once = max(1, _CELLS_AT_ONCE // num_windows)
        for ngrams, shares_Z in zip(
            table.ngrams.split(num_at_once), table.shares_Z.split(num_at_once), strict=True
        ):
            joint_ZW = outside_W.repeat(len(ngrams), 1)
            for place, phones_Z in enumerate(ngrams.T):
                joint_ZW += logs_VN[phones_Z, place : place + num_windows]
            expected_Z = torch.logsumexp(joint_ZW, 1)
            loss = loss - shares_Z @ expected_Z
            joint_ZW.sub_(expected_Z[:, None]).exp_().mul_(shares_Z[:, None])
            for place, phones_Z in enumerate(ngrams.T):
                slope_VN[:, place : place + num_windows].index_add_(0, phones_Z, joint_ZW, alpha=-1)
        ctx.save_for_backward(slope_VN)
        return loss

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (slope_VN,) = ctx.saved_tensors
        return gradients[0] * slope_VN, None, None


def frame_smoothness(posteriors_MNFV: Tensor, packing: Packing) -> Tensor:
    """Mean over segments of the squared distances of neighbouring frames' posteriors: (M,)."""
    steps = posteriors_MNFV[:, :, 1:] - posteriors_MNFV[:, :, :-1]
    distances_MN = steps.square().sum((2, 3)).masked_fill(packing.is_filler_MN, 0.0)
    return distances_MN.sum(1) / packing.lengths_MB.sum(1)


def draw_frames(values_MNFV: Tensor, packing: Packing, draws: Draws) -> Tensor:
    """One frame's row of each segment, drawn for each member by itself: (M, N, V)."""
    drawn_MN = draws.whole(values_MNFV.shape[2], packing)
    index = drawn_MN[..., None, None].expand(-1, -1, 1, values_MNFV.shape[3])
    return values_MNFV.gather(2, index)[:, :, 0]
