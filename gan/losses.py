"""The terms of the game, each a pure function of one batch for every member: (M,).

Labels follow fairseq: the discriminator learns 1 for generated and 0 for real. The terms named
`padded_` are as fairseq computes them, over whole padded batches; the others leave padding out,
as the papers mean.

Axes: M members, B sequences, N packed rows, V phones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from gan.packing import Packing


@dataclass(frozen=True)
class Objective:
    """What the two players minimise, given the scores of generated and of real sequences."""

    name: str
    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]


def discriminator_loss(fake_scores_MB: Tensor, real_scores_MB: Tensor) -> Tensor:
    """Mean of -log sigma(D(fake)) - log(1 - sigma(D(real))). Goodfellow et al. 2014, eq. 1."""
    return F.softplus(-fake_scores_MB).mean(1) + F.softplus(real_scores_MB).mean(1)


def generator_loss(fake_scores_MB: Tensor) -> Tensor:
    """Mean of -log(1 - sigma(D(fake))): look real, non-saturating form."""
    return F.softplus(fake_scores_MB).mean(1)


def critic_loss(fake_scores_MB: Tensor, real_scores_MB: Tensor) -> Tensor:
    """Mean of D(real) - D(fake): high scores for generated. Arjovsky et al. 2017, eq. 2."""
    return real_scores_MB.mean(1) - fake_scores_MB.mean(1)


def critic_generator_loss(fake_scores_MB: Tensor) -> Tensor:
    """Mean of D(fake), which the generator lowers."""
    return fake_scores_MB.mean(1)


NON_SATURATING = Objective("non_saturating", discriminator_loss, generator_loss)
WASSERSTEIN = Objective("wasserstein", critic_loss, critic_generator_loss)
OBJECTIVES = {objective.name: objective for objective in (NON_SATURATING, WASSERSTEIN)}


def gradient_penalty(gradients_MNV: Tensor, packing: Packing) -> Tensor:
    """Mean over sequences of sum over v of (||dD/dx[:, v]||_2 over time - 1)^2.

    One norm a vocabulary channel, as fairseq computes it; Gulrajani et al. 2017, eq. 3, take one
    norm of the whole gradient: see `joint_gradient_penalty`.
    """
    squared_MBV = packing.sum_rows(gradients_MNV.square())
    return (_safe_root(squared_MBV) - 1.0).square().sum(2).mean(1)


def joint_gradient_penalty(gradients_MNV: Tensor, packing: Packing) -> Tensor:
    """Mean over sequences of (||dD/dx||_2 - 1)^2. Gulrajani et al. 2017, eq. 3."""
    squared_MB = packing.sum_rows(gradients_MNV.square()).sum(2)
    return (_safe_root(squared_MB) - 1.0).square().mean(1)


def diversity_penalty(posteriors_MNV: Tensor, packing: Packing) -> Tensor:
    """(V - exp H(p)) / V with p the mean posterior over valid rows: 0 when all phones are used.

    Baevski et al. 2021, phoneme diversity loss, in the perplexity form of fairseq.
    """
    rows_M = packing.lengths_MB.sum(1)
    mean_MV = (
        posteriors_MNV.masked_fill(packing.is_filler_MN[..., None], 0.0).sum(1) / rows_M[:, None]
    )
    perplexity_M = torch.exp(-(mean_MV * torch.log(mean_MV + 1e-7)).sum(1))
    num_phones = posteriors_MNV.shape[-1]
    return (num_phones - perplexity_M) / num_phones


def padded_diversity_penalty(posteriors_MNV: Tensor, packing: Packing) -> Tensor:
    """As `diversity_penalty`, the mean taken over padding too, whose posterior is uniform."""
    rows_M, cells_M = packing.lengths_MB.sum(1), _padded_cells(packing)
    num_phones = posteriors_MNV.shape[-1]
    sum_MV = posteriors_MNV.masked_fill(packing.is_filler_MN[..., None], 0.0).sum(1)
    mean_MV = (sum_MV + ((cells_M - rows_M) / num_phones)[:, None]) / cells_M[:, None]
    perplexity_M = torch.exp(-(mean_MV * torch.log(mean_MV + 1e-7)).sum(1))
    return (num_phones - perplexity_M) / num_phones


def smoothness_penalty(logits_MNV: Tensor, packing: Packing) -> Tensor:
    """Mean squared difference of logits between neighbouring rows of a sequence.

    Baevski et al. 2021, segment smoothness penalty.
    """
    follows_MN = (packing.position_MN > 0) & ~packing.is_filler_MN
    return _neighbour_distances(logits_MNV, follows_MN) / follows_MN.sum(1).clamp_min(1)


def padded_smoothness_penalty(logits_MNV: Tensor, packing: Packing) -> Tensor:
    """As `smoothness_penalty`, divided by the number of padded pairs, whose distance is 0."""
    follows_MN = (packing.position_MN > 0) & ~packing.is_filler_MN
    pairs_M = _padded_cells(packing) - packing.num_sequences
    return _neighbour_distances(logits_MNV, follows_MN) / pairs_M.clamp_min(1)


def anchor_penalty(logits_MNV: Tensor, anchor_logits_MNV: Tensor, packing: Packing) -> Tensor:
    """Mean over rows of KL(anchor || generator): holds a generator near the map it started from."""
    log_anchor = torch.log_softmax(anchor_logits_MNV, -1)
    log_ratio = log_anchor - torch.log_softmax(logits_MNV, -1)
    rows_MN = (log_anchor.exp() * log_ratio).sum(2).masked_fill(packing.is_filler_MN, 0.0)
    return rows_MN.sum(1) / packing.lengths_MB.sum(1)


def auxiliary_loss(logits_MNA: Tensor, targets_MN: Tensor, packing: Packing) -> Tensor:
    """Mean cross-entropy of predicting MFCC clusters; targets of -1 do not count.

    Liu et al. 2022, the auxiliary self-supervised objective.
    """
    counted_M = ((targets_MN >= 0) & ~packing.is_filler_MN).sum(1)
    return _cross_entropies(logits_MNA, targets_MN, packing) / counted_M.clamp_min(1)


def padded_auxiliary_loss(logits_MNA: Tensor, targets_MN: Tensor, packing: Packing) -> Tensor:
    """As `auxiliary_loss`, divided by the number of padded rows, whose loss is 0."""
    return _cross_entropies(logits_MNA, targets_MN, packing) / _padded_cells(packing)


def _cross_entropies(logits_MNA: Tensor, targets_MN: Tensor, packing: Packing) -> Tensor:
    targets = targets_MN.masked_fill(packing.is_filler_MN, -1)
    losses_MN = F.cross_entropy(
        logits_MNA.transpose(1, 2), targets, ignore_index=-1, reduction="none"
    )
    return losses_MN.sum(1)


def _neighbour_distances(logits_MNV: Tensor, follows_MN: Tensor) -> Tensor:
    squared_MN = (logits_MNV[:, 1:] - logits_MNV[:, :-1]).square().mean(2)
    return squared_MN.masked_fill(~follows_MN[:, 1:], 0.0).sum(1)


def _padded_cells(packing: Packing) -> Tensor:
    """Rows of the member's batch if it were padded."""
    return packing.width_M * packing.num_sequences


def _safe_root(squared: Tensor) -> Tensor:
    """Square root with slope 0 at 0, the subgradient that torch.norm takes."""
    is_zero = squared == 0
    return torch.where(is_zero, 1.0, squared).sqrt().masked_fill(is_zero, 0.0)
