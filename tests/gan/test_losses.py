"""Each loss against a slow, obvious version over lists of utterances."""

import math

import pytest
import torch
from torch.nn import functional as F

from gan import losses
from gan.packing import Packing

LENGTHS = torch.tensor([[5, 1, 8], [3, 7, 2]])
PHONES = 4


def example(channels: int = PHONES) -> tuple[torch.Tensor, Packing, list[list[torch.Tensor]]]:
    torch.manual_seed(0)
    packing = Packing.of_lengths(LENGTHS)
    values = torch.randn(*packing.sequence_MN.shape, channels)
    values = values.masked_fill(packing.is_filler_MN[..., None], 0.0)
    utterances = [
        list(values[member, : sum(lengths)].split(lengths))
        for member, lengths in enumerate(LENGTHS.tolist())
    ]
    return values, packing, utterances


def test_game_losses_are_cross_entropies_with_fake_as_one() -> None:
    fake = torch.tensor([[0.3, -2.0], [4.0, 1.0]])
    real = torch.tensor([[1.5, 0.1], [-3.0, 0.0]])
    p_fake, p_real = torch.sigmoid(fake), torch.sigmoid(real)
    for member in range(2):
        fooled = -(1 - p_fake[member]).log().mean()
        told = -p_fake[member].log().mean() - (1 - p_real[member]).log().mean()
        torch.testing.assert_close(losses.discriminator_loss(fake, real)[member], told)
        torch.testing.assert_close(losses.generator_loss(fake)[member], fooled)


def test_gradient_penalty_takes_one_norm_a_phone_channel() -> None:
    values, packing, utterances = example()
    for member, found in enumerate(losses.gradient_penalty(values, packing)):
        terms = [
            sum((float(u[:, v].norm()) - 1) ** 2 for v in range(PHONES)) for u in utterances[member]
        ]
        assert float(found) == pytest.approx(sum(terms) / 3, rel=1e-5)


def test_joint_gradient_penalty_takes_one_norm_a_sequence() -> None:
    values, packing, utterances = example()
    for member, found in enumerate(losses.joint_gradient_penalty(values, packing)):
        terms = [(float(u.norm()) - 1) ** 2 for u in utterances[member]]
        assert float(found) == pytest.approx(sum(terms) / 3, rel=1e-5)


def test_gradient_penalty_has_a_finite_slope_where_the_gradient_is_zero() -> None:
    packing = Packing.of_lengths(torch.tensor([[3]]))
    gradients = torch.zeros(1, 3, 2, requires_grad=True)
    losses.gradient_penalty(gradients, packing).sum().backward()
    assert gradients.grad is not None
    assert bool(torch.isfinite(gradients.grad).all())


def test_diversity_is_low_for_even_use_and_high_for_one_phone() -> None:
    values, packing, utterances = example()
    posteriors = torch.softmax(values, -1)
    for member, found in enumerate(losses.diversity_penalty(posteriors, packing)):
        rows = torch.softmax(torch.cat(utterances[member]), -1).mean(0).tolist()
        perplexity = math.exp(-sum(p * math.log(p + 1e-7) for p in rows))
        assert float(found) == pytest.approx((PHONES - perplexity) / PHONES, rel=1e-4)
    one_phone = torch.zeros_like(posteriors)
    one_phone[..., 0] = 1.0
    assert float(losses.diversity_penalty(one_phone, packing)[0]) == pytest.approx(0.75, abs=1e-4)


def test_smoothness_compares_neighbours_within_utterances_only() -> None:
    values, packing, utterances = example()
    for member, found in enumerate(losses.smoothness_penalty(values, packing)):
        squares = [
            (u[i + 1, v] - u[i, v]).item() ** 2
            for u in utterances[member]
            for i in range(len(u) - 1)
            for v in range(PHONES)
        ]
        assert float(found) == pytest.approx(sum(squares) / len(squares), rel=1e-5)


def test_smoothness_of_single_rows_is_zero() -> None:
    packing = Packing.of_lengths(torch.tensor([[1, 1]]))
    assert float(losses.smoothness_penalty(torch.randn(1, 2, 3), packing)[0]) == 0.0


def test_anchor_is_the_mean_divergence_from_the_start() -> None:
    values, packing, utterances = example()
    starts = values.flip(-1)
    assert float(losses.anchor_penalty(values, values, packing)[0]) == pytest.approx(0.0, abs=1e-7)
    for member, found in enumerate(losses.anchor_penalty(values, starts, packing)):
        rows = torch.cat(utterances[member])
        p, q = torch.softmax(rows.flip(-1), -1), torch.softmax(rows, -1)
        assert float(found) == pytest.approx(float((p * (p / q).log()).sum(1).mean()), rel=1e-4)


def test_auxiliary_loss_ignores_rows_without_target() -> None:
    values, packing, utterances = example()
    targets = torch.randint(0, PHONES, packing.sequence_MN.shape)
    targets[0, 2] = -1
    found = losses.auxiliary_loss(values, targets, packing)
    rows = torch.log_softmax(torch.cat(utterances[0]), -1)
    terms = [-float(rows[i, targets[0, i]]) for i in range(14) if i != 2]
    assert float(found[0]) == pytest.approx(sum(terms) / 13, rel=1e-5)


def padded(utterances: list[torch.Tensor], fill: float) -> torch.Tensor:
    longest = max(len(u) for u in utterances)
    return torch.stack([F.pad(u, (0, 0, 0, longest - len(u)), value=fill) for u in utterances])


def test_padded_diversity_counts_padding_as_uniform_posteriors() -> None:
    values, packing, _ = example()
    posteriors = torch.softmax(values, -1)
    _, _, utterances = example()
    for member, found in enumerate(losses.padded_diversity_penalty(posteriors, packing)):
        batch = torch.softmax(padded(utterances[member], 0.0), -1)
        mean = batch.mean((0, 1))
        perplexity = math.exp(-float((mean * torch.log(mean + 1e-7)).sum()))
        assert float(found) == pytest.approx((PHONES - perplexity) / PHONES, rel=1e-4)


def test_padded_smoothness_divides_by_padded_pairs() -> None:
    values, packing, utterances = example()
    for member, found in enumerate(losses.padded_smoothness_penalty(values, packing)):
        total = sum(float((u[1:] - u[:-1]).square().sum()) for u in utterances[member])
        batch = padded(utterances[member], 0.0)
        cells = batch.shape[0] * (batch.shape[1] - 1) * PHONES
        assert float(found) == pytest.approx(total / cells, rel=1e-5)


def test_padded_auxiliary_loss_divides_by_padded_rows() -> None:
    values, packing, utterances = example()
    targets = torch.randint(-1, PHONES, packing.sequence_MN.shape)
    plain = losses.auxiliary_loss(values, targets, packing)
    found = losses.padded_auxiliary_loss(values, targets, packing)
    for member, lengths in enumerate(LENGTHS):
        counted = int((targets[member, : int(lengths.sum())] >= 0).sum())
        cells = len(lengths) * int(lengths.max())
        assert float(found[member] * cells) == pytest.approx(float(plain[member] * counted), 1e-5)
    assert len(utterances) == len(LENGTHS)


def test_wasserstein_raises_scores_of_generated_and_the_generator_lowers_them() -> None:
    fake, real = torch.tensor([[0.5, 1.5]]), torch.tensor([[2.0, 4.0]])
    assert float(losses.WASSERSTEIN.discriminator(fake, real)) == pytest.approx(3.0 - 1.0)
    assert float(losses.WASSERSTEIN.generator(fake)) == pytest.approx(1.0)
