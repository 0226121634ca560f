"""Where the gradient penalty looks: random points between real and generated sequences.

Axes: M members, N packed rows, B sequences, V phones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gan.discriminator import ComposedDiscriminators, hidden_rows, input_gradient_rows
from gan.draws import Draws
from gan.packing import Packing, common_prefixes, lengthened, one_hot, take_rows

PAD_OFFSET = 1  # of fairseq's <pad> among its specials, which follow the phones here
NUM_SPECIALS = 4


def slopes_of_prefixes(
    composed: ComposedDiscriminators,
    real: tuple[Tensor, Packing],
    fake: tuple[Tensor, Packing],
    draws: Draws,
) -> tuple[Tensor, Packing]:
    """d score / d input between each pair, cut to the shorter of the two: (M, N, V) and packing.

    `real` and `fake` are hidden rows: what the GELU reads between two inputs is the same mix of
    what it read at them, so no third pass is needed.
    """
    pairs, real_rows, fake_rows = common_prefixes(real[1], fake[1])
    between = _mix(take_rows(real[0], real_rows), take_rows(fake[0], fake_rows), pairs, draws)
    return input_gradient_rows(composed, between, pairs), pairs


def slopes_of_padded(
    composed: ComposedDiscriminators,
    real: tuple[Tensor, Packing],
    fake: tuple[Tensor, Packing],
    draws: Draws,
) -> tuple[Tensor, Packing]:
    """The same as fairseq computes it: one length for the batch, padding scored as if spoken.

    `real` are phone ids (M, N), `fake` inputs (M, N, V): padding reads as `<pad>` in text and as
    the uniform posterior in what was generated. Cut to the shorter of the two longest.
    """
    longest_M = torch.minimum(real[1].width_M, fake[1].width_M)
    lengths_MB = longest_M[:, None].expand(-1, real[1].num_sequences)
    if fake[1].host_lengths_MB is None:
        assert real[1].host_lengths_MB is not None
        longest_text = real[1].host_lengths_MB.amax(1) * real[1].num_sequences
        padded = Packing.within(lengths_MB, tuple(longest_text.tolist()))
    else:
        padded = Packing.of_lengths(lengths_MB)
    num_phones = fake[0].shape[-1]
    pad_V = torch.zeros(num_phones, device=fake[0].device)
    pad_V[num_phones - NUM_SPECIALS + PAD_OFFSET] = 1.0
    one_hot_MNV = one_hot(real[0], num_phones, fake[0].dtype)
    between = _mix(
        _padded_to((one_hot_MNV, real[1]), padded, pad_V),
        _padded_to(fake, padded, torch.full_like(pad_V, 1 / num_phones)),
        padded,
        draws,
    )
    return input_gradient_rows(composed, hidden_rows(composed, between, padded), padded), padded


def _mix(real_MNC: Tensor, fake_MNC: Tensor, pairs: Packing, draws: Draws) -> Tensor:
    """One random share of each sequence for real, the rest for generated."""
    share_MN1 = pairs.per_row(draws.uniform(pairs))[..., None].to(real_MNC.dtype)
    return torch.addcmul(fake_MNC, share_MN1, real_MNC - fake_MNC)


def _padded_to(values: tuple[Tensor, Packing], padded: Packing, pad_V: Tensor) -> Tensor:
    """Rows in the longer packing, `pad_V` where a sequence has ended, zeros in filler."""
    return lengthened(values[0], values[1], padded, pad_V)
