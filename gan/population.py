"""Several games played at once in one set of batched tensors, each with its own seed and options.

A member's numbers are those it would have alone, up to float rounding: batches and draws come
from its own seed, and nothing is normalised across members.

Axes: M members, N packed rows, B sequences, V phones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from gan import losses
from gan.batches import Batch
from gan.discriminator import (
    ComposedDiscriminators,
    Discriminator,
    compose,
    hidden_rows,
    input_gradient_rows,
    scores,
)
from gan.generator import Generated, Generator, generate
from gan.join import join_random
from gan.packing import Packing, common_prefixes, take_rows


@dataclass(frozen=True, kw_only=True)
class GameOptions:
    """What one member plays by. Weights multiply the loss terms of gan/losses.py."""

    seed: int
    generator_learning_rate: float
    discriminator_learning_rate: float
    discriminator_weight_decay: float
    beta1: float
    beta2: float
    clip_norm: float
    gradient_penalty: float
    diversity: float
    smoothness: float
    anchor: float


class Member:
    """The two players of one game, their optimisers, and the map the generator started from."""

    def __init__(
        self, options: GameOptions, generator: Generator, discriminator: Discriminator
    ) -> None:
        self.options = options
        self.generator = generator
        self.discriminator = discriminator
        betas = (options.beta1, options.beta2)
        self.generator_optimizer = torch.optim.AdamW(
            generator.parameters(),
            lr=options.generator_learning_rate,
            betas=betas,
            eps=1e-6,
            weight_decay=0.0,
        )
        self.discriminator_optimizer = torch.optim.AdamW(
            discriminator.parameters(),
            lr=options.discriminator_learning_rate,
            betas=betas,
            eps=1e-6,
            weight_decay=options.discriminator_weight_decay,
        )
        self.start: Generator | None = None  # frozen, for the anchor


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What all members share."""

    dropout: float
    joint_penalty: bool
    hard_samples: bool = False  # the discriminator reads phones drawn from the posteriors
    discriminator_dtype: torch.dtype


def train_discriminators(
    members: Sequence[Member], batch: Batch, rules: Rules
) -> dict[str, Tensor]:
    """One update of every discriminator. Returns its loss terms, each (M,)."""
    with torch.no_grad():
        _, fake_MNV, fake = _fakes(members, batch, rules)
    composed = compose([m.discriminator for m in members], dtype=rules.discriminator_dtype)
    hidden_fake = hidden_rows(composed, fake_MNV, fake)
    hidden_real = hidden_rows(composed, batch.text_MNV, batch.text)
    scores_fake = scores(composed, hidden_fake, fake)
    scores_real = scores(composed, hidden_real, batch.text)
    game_M = losses.discriminator_loss(scores_fake, scores_real)
    weights_M = _weights(members, "gradient_penalty", game_M)
    penalty_M = torch.zeros_like(game_M)
    if bool((weights_M > 0).any()):
        penalty_M = _penalty(
            composed, (hidden_real, batch.text), (hidden_fake, fake), batch.rngs, rules
        )
    _update(
        (game_M + weights_M * penalty_M).sum(),
        [m.discriminator for m in members],
        [m.discriminator_optimizer for m in members],
        [m.options.clip_norm for m in members],
    )
    return {
        "discriminator_loss": game_M.detach(),
        "gradient_penalty": penalty_M.detach(),
        "score_real": scores_real.detach().mean(1),
        "score_fake": scores_fake.detach().mean(1),
    }


def train_generators(members: Sequence[Member], batch: Batch, rules: Rules) -> dict[str, Tensor]:
    """One update of every generator. Returns its loss terms, each (M,)."""
    generated, fake_MNV, fake = _fakes(members, batch, rules)
    posteriors_MNV = torch.softmax(generated.joined_logits_MNV, -1)
    with torch.no_grad():
        composed = compose([m.discriminator for m in members], dtype=rules.discriminator_dtype)
    scores_fake = scores(composed, hidden_rows(composed, fake_MNV, fake), fake)
    terms = {
        "generator_loss": losses.generator_loss(scores_fake),
        "diversity": losses.diversity_penalty(posteriors_MNV, fake),
        "smoothness": losses.smoothness_penalty(generated.joined_logits_MNV, fake),
    }
    total_M = terms["generator_loss"]
    total_M = total_M + _weights(members, "diversity", total_M) * terms["diversity"]
    total_M = total_M + _weights(members, "smoothness", total_M) * terms["smoothness"]
    starts = [m.start for m in members if m.start is not None]
    if len(starts) == len(members):
        with torch.no_grad():
            anchor = generate(starts, batch.features_MND, batch.speech)
        terms["anchor"] = losses.anchor_penalty(
            generated.rows.logits_MNV, anchor.logits_MNV, anchor.packing
        )
        total_M = total_M + _weights(members, "anchor", total_M) * terms["anchor"]
    _update(
        total_M.sum(),
        [m.generator for m in members],
        [m.generator_optimizer for m in members],
        [m.options.clip_norm for m in members],
    )
    lengths = fake.lengths_MB.float().mean(1)
    return {**{name: term.detach() for name, term in terms.items()}, "output_length": lengths}


@dataclass(frozen=True)
class _Fakes:
    rows: Generated
    joined_logits_MNV: Tensor


def _fakes(members: Sequence[Member], batch: Batch, rules: Rules) -> tuple[_Fakes, Tensor, Packing]:
    rows = generate(
        [m.generator for m in members],
        batch.features_MND,
        batch.speech,
        dropout=rules.dropout,
        rngs=batch.rngs,
    )
    uniform_MN = _uniform(batch.rngs, rows.packing.lengths_MB.sum(1), rows.logits_MNV)
    logits, joined = join_random(rows.logits_MNV, rows.packing, uniform_MN)
    fakes = (
        sample_phones(logits, joined, batch.rngs)
        if rules.hard_samples
        else torch.softmax(logits, -1)
    )
    return _Fakes(rows, logits), fakes.masked_fill(joined.is_filler_MN[..., None], 0.0), joined


def sample_phones(
    logits_MNV: Tensor, packing: Packing, rngs: Sequence[np.random.Generator]
) -> Tensor:
    """One-hot phones drawn by Gumbel noise, with the softmax's slope: straight-through.

    Jang et al. 2017. Soft posteriors give themselves away by not being one-hot, and a
    discriminator that looks at nothing else teaches no phonotactics.
    """
    noise = torch.zeros(logits_MNV.shape)
    for row, rng, count in zip(noise, rngs, packing.lengths_MB.sum(1).tolist(), strict=True):
        row[:count] = torch.from_numpy(rng.gumbel(size=(count, row.shape[1])))
    soft = torch.softmax(logits_MNV + noise.to(logits_MNV.device), -1)
    drawn = torch.nn.functional.one_hot(soft.argmax(-1), soft.shape[-1]).to(soft.dtype)
    return drawn + (soft - soft.detach())


def _penalty(
    composed: ComposedDiscriminators,
    real: tuple[Tensor, Packing],
    fake: tuple[Tensor, Packing],
    rngs: Sequence[np.random.Generator],
    rules: Rules,
) -> Tensor:
    """Penalty at random points between real and generated, cut to the shorter of each pair.

    What the GELU reads there needs no third pass: it is the same mix of what it read at the ends.
    """
    pairs, real_rows, fake_rows = common_prefixes(real[1], fake[1])
    mix = np.stack([rng.random(pairs.num_sequences, dtype=np.float32) for rng in rngs])
    mix_MN1 = pairs.per_row(torch.from_numpy(mix).to(real[0].device))[..., None].to(real[0].dtype)
    between = mix_MN1 * take_rows(real[0], real_rows) + (1 - mix_MN1) * take_rows(
        fake[0], fake_rows
    )
    gradients = input_gradient_rows(composed, between, pairs)
    penalise = losses.joint_gradient_penalty if rules.joint_penalty else losses.gradient_penalty
    return penalise(gradients, pairs)


def _uniform(rngs: Sequence[np.random.Generator], rows_M: Tensor, like: Tensor) -> Tensor:
    """Uniform draws in [0, 1) for the real rows of each member."""
    out = torch.zeros(like.shape[:2])
    for row, rng, count in zip(out, rngs, rows_M.tolist(), strict=True):
        row[:count] = torch.from_numpy(rng.random(count, dtype=np.float32))
    return out.to(like.device)


def _weights(members: Sequence[Member], name: str, like: Tensor) -> Tensor:
    return torch.tensor([getattr(m.options, name) for m in members]).to(like)


def _update(
    loss: Tensor,
    modules: Sequence[nn.Module],
    optimizers: Sequence[torch.optim.Optimizer],
    clip_norms: Sequence[float],
) -> None:
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    loss.backward()
    for module, optimizer, clip_norm in zip(modules, optimizers, clip_norms, strict=True):
        nn.utils.clip_grad_norm_(module.parameters(), clip_norm, error_if_nonfinite=True)
        optimizer.step()
