"""Slopes between real and generated sequences, against autograd on padded tensors."""

import numpy as np
import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from gan.discriminator import Discriminator, DiscriminatorShape, compose, hidden_rows
from gan.draws import HostDraws
from gan.packing import Packing
from gan.penalty import NUM_SPECIALS, PAD_OFFSET, slopes_of_padded, slopes_of_prefixes

PHONES = 3 + NUM_SPECIALS
REAL_LENGTHS, FAKE_LENGTHS = [[4, 7], [3, 2]], [[6, 2], [4, 5]]


def example() -> tuple[list[Discriminator], list[list[torch.Tensor]], list[list[torch.Tensor]]]:
    torch.manual_seed(0)
    shape = DiscriminatorShape(num_phones=PHONES, hidden=6, kernel=3)
    discriminators = [Discriminator(shape) for _ in REAL_LENGTHS]
    real = [[torch.softmax(torch.randn(n, PHONES), -1) for n in m] for m in REAL_LENGTHS]
    fake = [[torch.softmax(torch.randn(n, PHONES), -1) for n in m] for m in FAKE_LENGTHS]
    return discriminators, real, fake


def packed(members: list[list[torch.Tensor]]) -> tuple[torch.Tensor, Packing]:
    packing = Packing.of_lengths(torch.tensor([[len(u) for u in m] for m in members]))
    return pad_sequence([torch.cat(m) for m in members], batch_first=True), packing


def rngs() -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in range(len(REAL_LENGTHS))]


def slope(discriminator: Discriminator, between_TV: torch.Tensor) -> torch.Tensor:
    between = between_TV[None].clone().requires_grad_()
    score = discriminator(between, torch.tensor([len(between_TV)]))
    return torch.autograd.grad(score.sum(), between)[0][0]


def test_prefixes_are_cut_to_the_shorter_of_each_pair() -> None:
    discriminators, real, fake = example()
    composed = compose(discriminators)
    (real_rows, real_packing), (fake_rows, fake_packing) = packed(real), packed(fake)
    found, pairs = slopes_of_prefixes(
        composed,
        (hidden_rows(composed, real_rows, real_packing), real_packing),
        (hidden_rows(composed, fake_rows, fake_packing), fake_packing),
        HostDraws(rngs()),
    )
    assert pairs.lengths_MB.tolist() == [[4, 2], [3, 2]]
    for member, rng in enumerate(rngs()):
        shares = rng.random(2, dtype=np.float32)
        expected = []
        for share, r, f in zip(shares, real[member], fake[member], strict=True):
            steps = min(len(r), len(f))
            between = float(share) * r[:steps] + (1 - float(share)) * f[:steps]
            expected.append(slope(discriminators[member], between))
        rows = torch.cat(expected)
        torch.testing.assert_close(found[member, : len(rows)], rows, atol=1e-6, rtol=1e-4)


def test_padded_slopes_read_padding_as_fairseq_does() -> None:
    discriminators, _, fake = example()
    text = [[torch.randint(PHONES, (n,)) for n in m] for m in REAL_LENGTHS]
    real = [[F.one_hot(sentence, PHONES).float() for sentence in m] for m in text]
    found, padded = slopes_of_padded(
        compose(discriminators), packed(text), packed(fake), HostDraws(rngs())
    )
    assert padded.lengths_MB.tolist() == [[6, 6], [3, 3]]
    pad = torch.zeros(PHONES)
    pad[3 + PAD_OFFSET] = 1.0
    uniform = torch.full((PHONES,), 1 / PHONES)

    def filled(values: torch.Tensor, steps: int, fill: torch.Tensor) -> torch.Tensor:
        return torch.cat([values, fill.expand(max(0, steps - len(values)), -1)])[:steps]

    for member, (rng, steps) in enumerate(zip(rngs(), (6, 3), strict=True)):
        shares = rng.random(2, dtype=np.float32)
        expected = [
            slope(
                discriminators[member],
                float(share) * filled(r, steps, pad)
                + (1 - float(share)) * filled(f, steps, uniform),
            )
            for share, r, f in zip(shares, real[member], fake[member], strict=True)
        ]
        rows = torch.cat(expected)
        torch.testing.assert_close(found[member, : len(rows)], rows, atol=1e-6, rtol=1e-4)
