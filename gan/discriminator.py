"""The discriminator: a causal convolutional score of phone sequences, one number a sequence.

Baevski et al. 2021: convolution, convolution + GELU (depth - 1 times), convolution to one channel,
mean over time. Higher means "generated" (as in fairseq, the reverse of Goodfellow et al. 2014).

`Discriminator.forward` is the readable definition. `hidden_rows` and `scores` compute the same
for depth 2: nothing stands between its first two convolutions, so they compose into one with
2 K - 1 taps, and the last convolution followed by a mean is a dot product with partial sums of
its kernel. `input_gradient_rows` gives d score / d input in closed form for the gradient penalty.

Axes: M members, N packed rows, B sequences, T time, V phones, H hidden channels, K taps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan.packing import Packing, fold_windows, windows


@dataclass(frozen=True, kw_only=True)
class DiscriminatorShape:
    """Sizes of the discriminator: enough to build it again from a checkpoint."""

    num_phones: int
    hidden: int = 384
    kernel: int = 6


class Discriminator(nn.Module):
    """Scores of padded sequences, depth 2 (the published one)."""

    def __init__(self, shape: DiscriminatorShape) -> None:
        super().__init__()
        self.shape = shape
        self.embed = nn.Conv1d(shape.num_phones, shape.hidden, shape.kernel)
        self.inner = nn.Conv1d(shape.hidden, shape.hidden, shape.kernel)
        self.score = nn.Conv1d(shape.hidden, 1, shape.kernel)

    def forward(self, phones_BTV: Tensor, lengths_B: Tensor) -> Tensor:
        """Mean score over the valid steps of each sequence: (B,)."""
        hidden_BHT = self.embed(self._causal(phones_BTV.transpose(1, 2)))
        hidden_BHT = F.gelu(self.inner(self._causal(hidden_BHT)))
        scores_BT = self.score(self._causal(hidden_BHT))[:, 0]
        is_padding_BT = (
            torch.arange(scores_BT.shape[1], device=lengths_B.device) >= lengths_B[:, None]
        )
        return scores_BT.masked_fill(is_padding_BT, 0.0).sum(1) / lengths_B

    def _causal(self, values_BCT: Tensor) -> Tensor:
        return F.pad(values_BCT, (self.shape.kernel - 1, 0))


@dataclass(frozen=True)
class ComposedDiscriminators:
    """The members' weights in the form that one matrix product reads."""

    first_MPH: Tensor  # P = (2K - 1) (V + 1): taps by channels; the last channel carries the bias
    first_bias_M1H: Tensor
    tail_MKH: Tensor  # row r: sum of the last convolution's taps that still land r steps later
    tail_bias_M: Tensor
    num_phones: int
    kernel: int

    @property
    def reach(self) -> int:
        """Steps back in time that a hidden row sees."""
        return 2 * (self.kernel - 1)


def compose(
    discriminators: Sequence[Discriminator], *, dtype: torch.dtype = torch.float32
) -> ComposedDiscriminators:
    """Fold convolution 1 into convolution 2, and convolution 3 into the mean over time.

    The constant channel of ones carries bias 1 through convolution 2, whose causal padding lies
    outside the sequence, where no bias was added.
    """
    shape = discriminators[0].shape
    kernel, hidden, phones = shape.kernel, shape.hidden, shape.num_phones
    embed_MKVH = torch.stack([d.embed.weight.permute(2, 1, 0) for d in discriminators])
    bias_MK1H = torch.stack(
        [F.pad(_bias(d.embed)[None, None], (0, 0, 0, 0, kernel - 1, 0)) for d in discriminators]
    )
    embed_MKCH = torch.cat([embed_MKVH, bias_MK1H], dim=2)
    inner_MHJH = torch.stack(
        [d.inner.weight.permute(1, 2, 0).reshape(hidden, -1) for d in discriminators]
    )
    members = len(discriminators)
    products = torch.bmm(embed_MKCH.reshape(members, -1, hidden), inner_MHJH)
    products = products.view(members, kernel, phones + 1, kernel, hidden)
    first = products.new_zeros(members, 2 * kernel - 1, phones + 1, hidden)
    for tap in range(kernel):
        first = first + F.pad(products[:, :, :, tap], (0, 0, 0, 0, tap, kernel - 1 - tap))
    taps_MKH = torch.stack([d.score.weight[0].T for d in discriminators])
    return ComposedDiscriminators(
        first.reshape(members, -1, hidden).to(dtype),
        torch.stack([_bias(d.inner)[None] for d in discriminators]).to(dtype),
        taps_MKH.flip(1).cumsum(1).to(dtype),
        torch.stack([_bias(d.score)[0] for d in discriminators]),
        phones,
        kernel,
    )


def hidden_rows(composed: ComposedDiscriminators, phones_MNV: Tensor, packing: Packing) -> Tensor:
    """Values before the GELU, (M, N, H): linear in the input but for a bias."""
    ones_MN1 = (~packing.is_filler_MN)[..., None].to(phones_MNV.dtype)
    extended = torch.cat([phones_MNV, ones_MN1], dim=-1).to(composed.first_MPH.dtype)
    taps = windows(extended, packing, left=composed.reach, right=0)
    return torch.baddbmm(composed.first_bias_M1H, taps, composed.first_MPH)


def scores(composed: ComposedDiscriminators, hidden_MNH: Tensor, packing: Packing) -> Tensor:
    """Mean score of each sequence: (M, B), float32."""
    tails_MNK = torch.bmm(F.gelu(hidden_MNH), composed.tail_MKH.transpose(1, 2))
    steps_MN = _steps_reached(composed, packing)
    rows_MN = tails_MNK.gather(2, steps_MN[..., None])[..., 0].float()
    rows_MN = rows_MN.masked_fill(packing.is_filler_MN, 0.0)
    return packing.sum_rows(rows_MN) / packing.lengths_MB + composed.tail_bias_M[:, None]


def input_gradient_rows(
    composed: ComposedDiscriminators, hidden_MNH: Tensor, packing: Packing
) -> Tensor:
    """d score / d input of each sequence at the input that gave `hidden_MNH`: (M, N, V), float32.

    score_b = 1/T sum_s GELU(h_s) . tail_s, so d score / d h_s = GELU'(h_s) tail_s / T, and the
    convolution is transposed by adding windows back. First-order differentiable.
    """
    members, _, hidden = hidden_MNH.shape
    steps_MNK = F.one_hot(_steps_reached(composed, packing), composed.kernel).to(hidden_MNH.dtype)
    slopes_MNH = gelu_slope(hidden_MNH) * torch.bmm(steps_MNK, composed.tail_MKH)
    phone_taps = composed.first_MPH.view(members, -1, composed.num_phones + 1, hidden)[:, :, :-1]
    spread = torch.bmm(slopes_MNH, phone_taps.reshape(members, -1, hidden).transpose(1, 2))
    rows_MNV = fold_windows(spread.float(), packing, left=composed.reach, right=0)
    return rows_MNV * packing.per_row(1.0 / packing.lengths_MB)[..., None]


def gelu_slope(values: Tensor) -> Tensor:
    """d GELU(x) / dx = Phi(x) + x phi(x), with Phi and phi of the standard normal."""
    return _GeluSlope.apply(values)


class _GeluSlope(torch.autograd.Function):
    """Its own slope is phi(x) (2 - x^2): two passes over memory where autograd would take ten."""

    @staticmethod
    def forward(ctx, values: Tensor) -> Tensor:
        density = (values * values).mul_(-0.5).exp_().mul_(1.0 / math.sqrt(2.0 * math.pi))
        ctx.save_for_backward(values, density)
        return torch.special.ndtr(values).addcmul_(values, density)

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> Tensor:
        values, density = ctx.saved_tensors
        return (2.0 - values * values).mul_(density).mul_(gradients[0])


def _bias(convolution: nn.Conv1d) -> Tensor:
    assert convolution.bias is not None
    return convolution.bias


def _steps_reached(composed: ComposedDiscriminators, packing: Packing) -> Tensor:
    return packing.rows_left_MN.clamp(0, composed.kernel - 1)
