"""The discriminator: a causal convolutional score of phone sequences, one number a sequence.

Baevski et al. 2021: convolution, convolution + GELU (depth - 1 times), convolution to one channel,
mean over time. Higher means "generated" (as in fairseq, the reverse of Goodfellow et al. 2014).

`Discriminator.forward` is the readable definition. `hidden_rows` and `scores` compute the same
for depth 2: nothing stands between its first two convolutions, so they compose into one with
2 K - 1 taps, and the last convolution followed by a mean is a dot product with partial sums of
its kernel. Text is one-hot, so `hidden_rows_of_text` looks its rows up. `input_gradient_rows`
gives d score / d input in closed form for the gradient penalty.

Axes: M members, N packed rows, B sequences, T time, V phones, H hidden channels, K taps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan.packing import Packing, fold_windows, one_hot, windows


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
    """The members' weights in the form that one matrix product reads.

    Products are in `dtype`; what is looked up and added row by row stays as it was composed.
    """

    taps_MPH: Tensor  # P = (2K - 1) V: taps, the oldest first, by phones
    bias_MRH: Tensor  # bias of a row that has r rows before it in its sequence, R = 2K - 1
    tail_MKH: Tensor  # row r: sum of the last convolution's taps that still land r steps later
    tail_bias_M: Tensor
    num_phones: int
    kernel: int
    dtype: torch.dtype

    @property
    def reach(self) -> int:
        """Steps back in time that a hidden row sees."""
        return 2 * (self.kernel - 1)

    @cached_property
    def first_MPH(self) -> Tensor:
        """The taps as matrix products read them."""
        return self.taps_MPH.to(self.dtype)


def compose(
    discriminators: Sequence[Discriminator], *, dtype: torch.dtype = torch.float32
) -> ComposedDiscriminators:
    """Fold convolution 1 into convolution 2, and convolution 3 into the mean over time.

    Convolution 2 reads bias 1 as a constant channel, but not in its causal padding: rows near the
    start of a sequence get less of it.
    """
    shape = discriminators[0].shape
    kernel, hidden, phones = shape.kernel, shape.hidden, shape.num_phones
    members, span = len(discriminators), 2 * kernel - 1
    embed_MVKH = torch.stack([d.embed.weight.permute(1, 2, 0) for d in discriminators])
    bias_M1KH = torch.stack(
        [F.pad(_bias(d.embed)[None, None], (0, 0, kernel - 1, 0)) for d in discriminators]
    )
    embed_MCKH = torch.cat([embed_MVKH, bias_M1KH], dim=1)
    inner_MHJH = torch.stack(
        [d.inner.weight.permute(1, 2, 0).reshape(hidden, -1) for d in discriminators]
    )
    products = torch.bmm(embed_MCKH.reshape(members, -1, hidden), inner_MHJH)
    # Tap k of one convolution and j of the other meet at tap k + j: rows of 2 K entries, read as
    # rows of 2 K - 1, are shifted by one more each.
    products = products.view(members, phones + 1, kernel, kernel, hidden)
    shifted = F.pad(products, (0, 0, 0, kernel)).flatten(2, 3)[:, :, : kernel * span]
    first = shifted.unflatten(2, (kernel, span)).sum(2).transpose(1, 2)
    inner_bias_M1H = torch.stack([_bias(d.inner)[None] for d in discriminators])
    taps_MKH = torch.stack([d.score.weight[0].T for d in discriminators])
    return ComposedDiscriminators(
        first[:, :, :-1].reshape(members, -1, hidden),
        _sums_of_last(first[:, :, -1]) + inner_bias_M1H,
        _sums_of_last(taps_MKH).to(dtype),
        torch.stack([_bias(d.score)[0] for d in discriminators]),
        phones,
        kernel,
        dtype,
    )


def hidden_rows(composed: ComposedDiscriminators, phones_MNV: Tensor, packing: Packing) -> Tensor:
    """Values before the GELU, (M, N, H): linear in the input but for a bias."""
    bias_MRH = composed.bias_MRH.to(composed.dtype)
    bias_MNH = torch.bmm(_one_hot(packing.position_MN, bias_MRH), bias_MRH)
    taps = windows(phones_MNV.to(composed.dtype), packing, left=composed.reach, right=0)
    return torch.baddbmm(bias_MNH, taps, composed.first_MPH)


def hidden_rows_of_text(
    composed: ComposedDiscriminators, phones_MN: Tensor, packing: Packing
) -> Tensor:
    """The same for phone ids: a product with one-hot rows is a sum of rows of the weights.

    On an accelerator the product is the cheaper, whose gradient has nothing to sort.
    """
    if phones_MN.device.type != "cpu":
        one_hot_MNV = one_hot(phones_MN, composed.num_phones, composed.dtype)
        one_hot_MNV = one_hot_MNV.masked_fill(packing.is_filler_MN[..., None], 0.0)
        return hidden_rows(composed, one_hot_MNV, packing)
    taps_MPH, bias_MRH = composed.taps_MPH, composed.bias_MRH
    members, num_taps_phones, hidden = taps_MPH.shape
    device = phones_MN.device
    lags_T = torch.arange(composed.reach, -1, -1, device=device)
    rows_NT = (torch.arange(phones_MN.shape[1], device=device)[:, None] - lags_T).clamp_min(0)
    member_M11 = torch.arange(members, device=device)[:, None, None]
    entries_MNT = (
        phones_MN[:, rows_NT]
        + composed.num_phones * torch.arange(len(lags_T), device=device)
        + num_taps_phones * member_M11
    )
    first_bias = members * num_taps_phones
    nothing = first_bias + members * len(lags_T)
    position_MN1 = packing.position_MN[..., None]
    entries_MNT = entries_MNT.masked_fill(position_MN1 < lags_T, nothing)
    bias_MN1 = first_bias + len(lags_T) * member_M11 + position_MN1.clamp(0, composed.reach)
    table = torch.cat(
        [taps_MPH.view(-1, hidden), bias_MRH.view(-1, hidden), bias_MRH.new_zeros(1, hidden)]
    )
    rows = F.embedding_bag(
        torch.cat([entries_MNT, bias_MN1], dim=2).flatten(0, 1),
        table,
        mode="sum",
        padding_idx=nothing,
    )
    return rows.view(*phones_MN.shape, hidden).to(composed.dtype)


def scores(composed: ComposedDiscriminators, hidden_MNH: Tensor, packing: Packing) -> Tensor:
    """Mean score of each sequence: (M, B), float32."""
    steps_MN = packing.rows_left_MN.clamp(0, composed.kernel - 1)
    rows_MN = _TailScores.apply(hidden_MNH, composed.tail_MKH, steps_MN)
    rows_MN = rows_MN.float().masked_fill(packing.is_filler_MN, 0.0)
    return packing.sum_rows(rows_MN) / packing.lengths_MB + composed.tail_bias_M[:, None]


def input_gradient_rows(
    composed: ComposedDiscriminators, hidden_MNH: Tensor, packing: Packing
) -> Tensor:
    """d score / d input of each sequence at the input that gave `hidden_MNH`: (M, N, V), float32.

    score_b = 1/T sum_s GELU(h_s) . tail_s, so d score / d h_s = GELU'(h_s) tail_s / T, and the
    convolution is transposed by adding windows back. First-order differentiable.
    """
    steps_MNK = _one_hot(packing.rows_left_MN, composed.tail_MKH)
    slopes_MNH = times_gelu_slope(torch.bmm(steps_MNK, composed.tail_MKH), hidden_MNH)
    spread = torch.bmm(slopes_MNH, composed.first_MPH.transpose(1, 2))
    rows_MNV = fold_windows(spread, packing, left=composed.reach, right=0)
    return rows_MNV * packing.per_row(1.0 / packing.lengths_MB)[..., None]


def times_gelu_slope(factors: Tensor, values: Tensor) -> Tensor:
    """factors x GELU'(values), with GELU'(x) = Phi(x) + x phi(x) of the standard normal."""
    return _TimesGeluSlope.apply(factors, values)


class _TimesGeluSlope(torch.autograd.Function):
    """GELU'' is phi(x) (2 - x^2): few passes over memory where autograd would take twenty.

    With c = 1 / (e sqrt(2 pi)) and t = c (2 - x^2) it is t exp(t / (2 c)).
    """

    @staticmethod
    def forward(ctx, factors: Tensor, values: Tensor) -> Tensor:
        ctx.save_for_backward(factors, values)
        return torch.ops.aten.gelu_backward(factors, values)

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        factors, values = ctx.saved_tensors
        scale = 1.0 / (math.e * math.sqrt(2.0 * math.pi))
        bend = torch.addcmul(values.new_full((), 2.0 * scale), values, values, value=-scale)
        bend.mul_((bend * (0.5 / scale)).exp_()).mul_(factors).mul_(gradients[0])
        return torch.ops.aten.gelu_backward(gradients[0], values), bend


class _TailScores(torch.autograd.Function):
    """GELU(h_n) . tail of the steps that row n still reaches: (M, N).

    Its gradients are two products that keep the rows outermost, which is how BLAS is fast.
    """

    @staticmethod
    def forward(ctx, hidden_MNH: Tensor, tail_MKH: Tensor, steps_MN: Tensor) -> Tensor:
        active_MNH = F.gelu(hidden_MNH)
        ctx.save_for_backward(hidden_MNH, active_MNH, tail_MKH, steps_MN)
        products_MNK = torch.bmm(active_MNH, tail_MKH.transpose(1, 2))
        return products_MNK.gather(2, steps_MN[..., None])[..., 0]

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None]:
        hidden_MNH, active_MNH, tail_MKH, steps_MN = ctx.saved_tensors
        weights_MNK = one_hot(steps_MN, tail_MKH.shape[1], tail_MKH.dtype)
        weights_MNK.mul_(gradients[0][..., None])
        hidden = torch.ops.aten.gelu_backward(torch.bmm(weights_MNK, tail_MKH), hidden_MNH)
        tail = None
        if ctx.needs_input_grad[1]:
            tail = torch.bmm(weights_MNK.transpose(1, 2), active_MNH)
        return hidden, tail, None


def _one_hot(steps_MN: Tensor, rows_MKH: Tensor) -> Tensor:
    """Which of the rows each step reads; steps past the last read the last."""
    last = rows_MKH.shape[1] - 1
    return one_hot(steps_MN.clamp(0, last), last + 1, rows_MKH.dtype)


def _sums_of_last(rows_MKH: Tensor) -> Tensor:
    """Row r: the sum of the last r + 1 rows."""
    corner = _corner(rows_MKH.shape[1], rows_MKH.dtype, rows_MKH.device)
    return corner @ rows_MKH


@cache
def _corner(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Ones on and below the diagonal from the upper right: one product where cumsum needs flips."""
    return torch.ones(size, size, dtype=dtype).tril().flip(1).to(device)


def _bias(convolution: nn.Conv1d) -> Tensor:
    assert convolution.bias is not None
    return convolution.bias
