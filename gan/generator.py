"""The generator: one convolution from segment features to phone logits.

Baevski et al. 2021 (wav2vec-U) use the convolution alone; Liu et al. 2022 (wav2vec-U 2.0) put batch
norm and a residual linear layer before it, give it a stride, and let the layer before the
convolution predict MFCC clusters.

Axes: M members, N packed rows, S segments, D dims, V phones, A clusters of the auxiliary task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan.draws import Draws, HostDraws, rescale
from gan.packing import Packing, fold_windows, lengthened, take_rows
from unsup_asr.ranges import NonNegative, Size, SizeOrNone
from unsup_asr.types import Float32Array

NO_DRAWS = HostDraws(())


@dataclass(frozen=True, kw_only=True)
class GeneratorShape:
    """Sizes of the generator: enough to build it again from a checkpoint."""

    input_dim: Size
    num_phones: Size
    kernel: Size = 4
    stride: Size = 1
    hidden: SizeOrNone = 0  # units of a ReLU layer before the convolution; 0: none
    batch_norm_weight: NonNegative = 0.0  # 0: no batch norm; wav2vec-U 2.0 starts its weight at 30
    residual: bool = False
    num_auxiliary_classes: SizeOrNone = 0
    overhang: bool = False  # kernel // 2 zeros at both ends, as fairseq: see `num_overhanging`


class Generator(nn.Module):
    """Segment features of one utterance to phone logits, one row for every `stride` segments.

    With `overhang`, an even kernel and stride 1 one more row, which reads past the end.
    """

    def __init__(self, shape: GeneratorShape) -> None:
        super().__init__()
        self.shape = shape
        dim = shape.input_dim
        self.hidden = nn.Linear(dim, shape.hidden) if shape.hidden else None
        self.conv = nn.Conv1d(
            shape.hidden or dim, shape.num_phones, shape.kernel, shape.stride, bias=False
        )
        self.norm = nn.BatchNorm1d(dim) if shape.batch_norm_weight else None
        if self.norm is not None:
            nn.init.constant_(self.norm.weight, shape.batch_norm_weight)
        self.residual = nn.Linear(dim, dim) if shape.residual else None
        self.auxiliary = (
            nn.Linear(dim, shape.num_auxiliary_classes) if shape.num_auxiliary_classes else None
        )

    def forward(self, segments_SD: Tensor) -> Tensor:
        """Logits (ceil(S / stride) + overhanging rows, V)."""
        hidden_SD = segments_SD if self.norm is None else self.norm(segments_SD)
        if self.residual is not None:
            hidden_SD = hidden_SD + self.residual(hidden_SD)
        if self.hidden is not None:
            hidden_SD = torch.relu(self.hidden(hidden_SD))
        left, right = taps_around(self.shape.kernel)
        right += num_overhanging(self.shape)
        return self.conv(F.pad(hidden_SD.T[None], (left, right)))[0].T

    def start_from_map(self, linear_DV: Float32Array) -> None:
        """Begin as this linear map of the segment itself; its neighbours get weight 0."""
        expected = (self.shape.input_dim, self.shape.num_phones)
        if self.hidden is not None:
            raise ValueError("a generator with a hidden layer cannot start from a linear map")
        if linear_DV.shape != expected:
            raise ValueError(
                f"generator_init has shape {linear_DV.shape}; expected (segment dims, phones) = "
                f"{expected}"
            )
        left, _ = taps_around(self.shape.kernel)
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.weight[:, :, left] = torch.from_numpy(np.ascontiguousarray(linear_DV.T))
            if self.residual is not None:
                self.residual.weight.zero_()
                self.residual.bias.zero_()


def phones_only(generator: Generator, num_phones: int) -> Generator:
    """The generator itself, or a copy without the outputs past the phones (fairseq's specials)."""
    if generator.shape.num_phones == num_phones:
        return generator
    state = generator.state_dict()
    state["conv.weight"] = state["conv.weight"][:num_phones].clone()
    cut = Generator(replace(generator.shape, num_phones=num_phones))
    cut.load_state_dict(state)
    return cut.train(generator.training)


@dataclass(frozen=True)
class Generated:
    """What the generators said: logits (M, N', V) and, if asked for, auxiliary logits (M, N, A)."""

    logits_MNV: Tensor
    packing: Packing
    auxiliary_MNA: Tensor | None


def taps_around(kernel: int) -> tuple[int, int]:
    """Zeros before and after: output t reads segments t - kernel // 2 to t + (kernel - 1) // 2."""
    return kernel // 2, (kernel - 1) // 2


def num_overhanging(shape: GeneratorShape) -> int:
    """Outputs past the last segment: fairseq pads kernel // 2 on both sides, which gives an even
    kernel one more output than segments, and counts it as spoken.
    """
    return int(shape.overhang and shape.kernel % 2 == 0 and shape.stride == 1)


def generate(
    generators: Sequence[Generator],
    features_MND: Tensor,
    packing: Packing,
    *,
    dropout: float = 0.0,
    draws: Draws = NO_DRAWS,
    padded: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Generated:
    """Run each member's generator on its own packed rows. With `dropout` 0 nothing is drawn.

    The same numbers as `Generator.forward` utterance by utterance, in two matrix products. What
    lies between layers is of `dtype`; logits and the statistics of batch norm are float32. With
    `padded`, as in fairseq's padded batches: past its end a sequence shorter than the longest is
    followed by what the residual layer makes of zeros, its bias, and the last outputs read that.
    """
    shape = generators[0].shape
    hidden = features_MND.to(dtype)
    if generators[0].norm is not None:
        hidden = _normalise([g.norm for g in generators if g.norm is not None], hidden, packing)
    scale = rescale(dropout) if dropout else 1.0
    auxiliary = None
    if generators[0].residual is not None:
        layers = [g.residual for g in generators if g.residual is not None]
        projected = _linear(layers, zero_some(hidden, packing, dropout, draws), scale)
        if generators[0].auxiliary is not None:
            layers = [g.auxiliary for g in generators if g.auxiliary is not None]
            auxiliary = _linear(layers, projected).float()
        hidden = hidden + projected
    if generators[0].hidden is not None:
        layers = [g.hidden for g in generators if g.hidden is not None]
        hidden = torch.relu(_linear(layers, hidden))
    read, hidden = _past_the_ends(generators, hidden, packing, padded=padded)
    hidden = zero_some(hidden, read, dropout, draws)
    # Weight (V, D, K) as D x (K V), taps reversed: a row's product is what it adds around itself.
    weights = [
        g.conv.weight.flip(2).permute(1, 2, 0).reshape(hidden.shape[-1], -1) for g in generators
    ]
    spread = torch.bmm(hidden, (torch.stack(weights) * scale).to(dtype))
    left, right = taps_around(shape.kernel)
    logits, outputs = fold_windows(spread, read, left=right, right=left), read
    if shape.stride > 1 or padded:
        outputs = packing.with_lengths(
            lambda lengths_MB: (
                (lengths_MB + shape.stride - 1) // shape.stride + num_overhanging(shape)
            ),
            lambda rows: (
                rows // shape.stride + packing.num_sequences * (1 + num_overhanging(shape))
            ),
        )
        logits = take_rows(logits, _every(read, shape.stride, outputs))
    return Generated(logits.masked_fill(outputs.is_filler_MN[..., None], 0.0), outputs, auxiliary)


def _linear(layers: Sequence[nn.Linear], rows_MNC: Tensor, scale: float = 1.0) -> Tensor:
    """Each member's layer on its rows, which are multiplied by `scale` before."""
    weight_MCD = torch.stack([layer.weight.T for layer in layers]) * scale
    bias_M1D = torch.stack([layer.bias[None] for layer in layers])
    return torch.baddbmm(bias_M1D.to(rows_MNC.dtype), rows_MNC, weight_MCD.to(rows_MNC.dtype))


def _past_the_ends(
    generators: Sequence[Generator], hidden_MND: Tensor, packing: Packing, *, padded: bool
) -> tuple[Packing, Tensor]:
    """The rows that the convolution reads: those of `packing`, and what it reads past their ends.

    Rows that only an overhanging output stands on are zero.
    """
    shape, overhang = generators[0].shape, num_overhanging(generators[0].shape)
    leaks = padded and generators[0].residual is not None
    if not leaks and overhang == 0:
        return packing, hidden_MND
    _, right = taps_around(shape.kernel)

    def read_lengths(lengths_MB: Tensor) -> Tensor:
        own_MB = lengths_MB + overhang
        if not leaks:
            return own_MB
        return torch.maximum(
            own_MB, torch.minimum(own_MB + right, lengths_MB.amax(1, keepdim=True))
        )

    read = packing.with_lengths(read_lengths)
    fill = torch.zeros((), device=hidden_MND.device)
    if leaks:
        bias = torch.stack([g.residual.bias for g in generators if g.residual is not None])
        is_in_batch_MN = read.position_MN < packing.lengths_MB.amax(1, keepdim=True)
        fill = bias[:, None] * is_in_batch_MN[..., None]
    return read, lengthened(hidden_MND, packing, read, fill)


def zero_some(values_MNC: Tensor, packing: Packing, probability: float, draws: Draws) -> Tensor:
    """Zero entries with this probability.

    The other half of dropout, `rescale`, is for the weights that read them: they are fewer.
    """
    if probability == 0.0:
        return values_MNC
    return values_MNC.masked_fill(draws.dropped(values_MNC, packing, probability), 0.0)


def _normalise(norms: Sequence[nn.BatchNorm1d], rows_MND: Tensor, packing: Packing) -> Tensor:
    """Batch norm by the moments of each member's real rows (Ioffe and Szegedy 2015).

    Rows of data have no slope, so neither have their moments, and all that is left is a scale and a
    shift, which torch applies in one pass: filler becomes the shift.
    """
    normalised = [
        F.batch_norm(rows_ND, mean_D, variance_D, norm.weight, norm.bias, eps=norm.eps)
        for norm, rows_ND, (mean_D, variance_D) in zip(
            norms, rows_MND, _moments(norms, rows_MND, packing), strict=True
        )
    ]
    return torch.stack(normalised) if len(normalised) > 1 else normalised[0][None]


@torch.no_grad()
def _moments(
    norms: Sequence[nn.BatchNorm1d], rows_MND: Tensor, packing: Packing
) -> list[tuple[Tensor, Tensor]]:
    """Mean and variance that each member normalises by, float32; in training they are remembered.

    Nothing is read where the host does not know how many rows are real.
    """
    if not norms[0].training:
        remembered = [(norm.running_mean, norm.running_var) for norm in norms]
        return remembered  # pyright: ignore[reportReturnType]
    counts_M1, rows = packing.lengths_MB.sum(1, keepdim=True), rows_MND.shape[1]
    # of all rows, of which filler is zero: then of the real ones alone
    if rows_MND.dtype is torch.float32:
        variance_MD, mean_MD = torch.var_mean(rows_MND, 1, correction=0)
        square_MD = (variance_MD + mean_MD.square()) * (rows / counts_M1)
        mean_MD = mean_MD * (rows / counts_M1)
    else:  # summed in float32, without a copy of the rows
        mean_MD = torch.sum(rows_MND, 1, dtype=torch.float32) / counts_M1
        norm_MD = torch.linalg.vector_norm(rows_MND, dim=1, dtype=torch.float32)
        square_MD = norm_MD.square() / counts_M1
    variance_MD = square_MD - mean_MD.square()
    unbiased_MD = variance_MD * (counts_M1 / (counts_M1 - 1))
    for norm, mean_D, unbiased_D in zip(norms, mean_MD, unbiased_MD, strict=True):
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.num_batches_tracked is not None
        assert norm.momentum is not None
        norm.running_mean.lerp_(mean_D, norm.momentum)
        norm.running_var.lerp_(unbiased_D, norm.momentum)
        norm.num_batches_tracked.add_(1)
    return list(zip(mean_MD, variance_MD, strict=True))


def _every(packing: Packing, stride: int, strided: Packing) -> Tensor:
    """Rows 0, stride, 2 stride, ... of each sequence, as many as `strided` has."""
    rows_MR = packing.starts_MB.gather(1, strided.sequence_MN) + strided.position_MN * stride
    return rows_MR.clamp_max(packing.sequence_MN.shape[1] - 1)
