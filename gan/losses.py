"""The terms of the game, each a pure function of one batch for every member: (M,).

Labels follow fairseq: the discriminator learns 1 for generated and 0 for real.

Axes: M members, B sequences, N packed rows, V phones.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gan.packing import Packing


def discriminator_loss(fake_scores_MB: Tensor, real_scores_MB: Tensor) -> Tensor:
    """Mean of -log sigma(D(fake)) - log(1 - sigma(D(real))). Goodfellow et al. 2014, eq. 1."""
    return F.softplus(-fake_scores_MB).mean(1) + F.softplus(real_scores_MB).mean(1)


def generator_loss(fake_scores_MB: Tensor) -> Tensor:
    """Mean of -log(1 - sigma(D(fake))): look real, non-saturating form."""
    return F.softplus(fake_scores_MB).mean(1)


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


def smoothness_penalty(logits_MNV: Tensor, packing: Packing) -> Tensor:
    """Mean squared difference of logits between neighbouring rows of a sequence.

    Baevski et al. 2021, segment smoothness penalty; fairseq also divides by the padded pairs.
    """
    follows_MN = (packing.position_MN > 0) & ~packing.is_filler_MN
    squared_MN = (logits_MNV[:, 1:] - logits_MNV[:, :-1]).square().mean(2)
    squared_MN = squared_MN.masked_fill(~follows_MN[:, 1:], 0.0)
    return squared_MN.sum(1) / follows_MN.sum(1).clamp_min(1)


def anchor_penalty(logits_MNV: Tensor, anchor_logits_MNV: Tensor, packing: Packing) -> Tensor:
    """Mean over rows of KL(anchor || generator): holds a generator near the map it started from."""
    log_anchor = torch.log_softmax(anchor_logits_MNV, -1)
    log_ratio = log_anchor - torch.log_softmax(logits_MNV, -1)
    rows_MN = (log_anchor.exp() * log_ratio).sum(2).masked_fill(packing.is_filler_MN, 0.0)
    return rows_MN.sum(1) / packing.lengths_MB.sum(1)


def auxiliary_loss(logits_MNA: Tensor, targets_MN: Tensor, packing: Packing) -> Tensor:
    """Mean cross-entropy of predicting MFCC clusters; targets of -1 do not count. Liu 2022."""
    targets = targets_MN.masked_fill(packing.is_filler_MN, -1)
    losses_MN = F.cross_entropy(
        logits_MNA.transpose(1, 2), targets, ignore_index=-1, reduction="none"
    )
    return losses_MN.sum(1) / (targets >= 0).sum(1).clamp_min(1)


def _safe_root(squared: Tensor) -> Tensor:
    """Square root with slope 0 at 0, the subgradient that torch.norm takes."""
    is_zero = squared == 0
    return torch.where(is_zero, 1.0, squared).sqrt().masked_fill(is_zero, 0.0)
