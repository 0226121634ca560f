"""One update of several games at once, in one set of batched tensors: wav2vec-U's two turns.

A member's numbers are those it would have alone, up to float rounding: batches and draws come
from its own seed, and nothing is normalised across members.

Axes: M members, N packed rows, B sequences, V phones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor, nn

from gan import losses
from gan.batches import Batch
from gan.discriminator import Discriminator, compose, hidden_rows, hidden_rows_of_text, scores
from gan.draws import Draws
from gan.generator import Generated, Generator, generate
from gan.join import join_random, padded_columns
from gan.ngram_matching import NgramTable, draw_frames, frame_smoothness, ngram_loss
from gan.packing import Packing, one_hot
from gan.penalty import slopes_of_padded, slopes_of_prefixes


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
    auxiliary: float = 0.0


class Member:
    """The two players of one game, their optimisers, and the map the generator started from."""

    def __init__(
        self, options: GameOptions, generator: Generator, discriminator: Discriminator
    ) -> None:
        self.options = options
        self.generator = generator
        self.discriminator = discriminator
        betas = (options.beta1, options.beta2)
        on_gpu = {"capturable": True} if generator.conv.weight.is_cuda else {}
        self.generator_optimizer = torch.optim.AdamW(
            generator.parameters(),
            lr=options.generator_learning_rate,
            betas=betas,
            eps=1e-6,
            weight_decay=0.0,
            fused=True,
            **on_gpu,
        )
        self.discriminator_optimizer = torch.optim.AdamW(
            discriminator.parameters(),
            lr=options.discriminator_learning_rate,
            betas=betas,
            eps=1e-6,
            weight_decay=options.discriminator_weight_decay,
            fused=True,
            **on_gpu,
        )
        self.start: Generator | None = None  # frozen, for the anchor


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What all members share. `padding`: "masked", or "reference" (docs/decisions.md)."""

    dropout: float
    joint_penalty: bool = False
    hard_samples: bool = False  # the discriminator reads phones drawn from the posteriors
    join: bool = True
    objective: losses.Objective = losses.NON_SATURATING
    padding: str = "masked"
    frames_per_segment: int = 1  # of `match_ngrams`
    discriminator_dtype: torch.dtype = torch.float32
    generator_dtype: torch.dtype = torch.float32
    fixed_rows: bool = False  # JOIN leaves filler instead of telling the host how many rows it kept

    @property
    def as_fairseq(self) -> bool:
        """Padding leaks into the losses, and both players' gradients into one clipped norm."""
        return self.padding == "reference"


def train_discriminators(
    members: Sequence[Member], batch: Batch, rules: Rules
) -> dict[str, Tensor]:
    """One update of every discriminator. Returns its loss terms, each (M,)."""
    with torch.set_grad_enabled(rules.as_fairseq):
        _, _, fake_MNV, fake = _fakes(members, batch, rules)
    composed = compose([m.discriminator for m in members], dtype=rules.discriminator_dtype)
    hidden_fake = hidden_rows(composed, fake_MNV, fake)
    hidden_real = hidden_rows_of_text(composed, batch.text_MN, batch.text)
    scores_fake = scores(composed, hidden_fake, fake)
    scores_real = scores(composed, hidden_real, batch.text)
    game_M = rules.objective.discriminator(scores_fake, scores_real)
    penalty_M = torch.zeros_like(game_M)
    if any(m.options.gradient_penalty > 0 for m in members):
        if rules.as_fairseq:
            slopes_MNV, pairs = slopes_of_padded(
                composed, (batch.text_MN, batch.text), (fake_MNV, fake), batch.draws
            )
        else:
            slopes_MNV, pairs = slopes_of_prefixes(
                composed, (hidden_real, batch.text), (hidden_fake, fake), batch.draws
            )
        penalise = losses.joint_gradient_penalty if rules.joint_penalty else losses.gradient_penalty
        penalty_M = penalise(slopes_MNV, pairs)
    total_M = game_M + _weights(members, "gradient_penalty", game_M) * penalty_M
    _update(total_M.sum(), members, rules, generators_turn=False)
    return {
        "discriminator_loss": game_M.detach(),
        "gradient_penalty": penalty_M.detach(),
        "score_real": scores_real.detach().mean(1),
        "score_fake": scores_fake.detach().mean(1),
    }


def train_generators(members: Sequence[Member], batch: Batch, rules: Rules) -> dict[str, Tensor]:
    """One update of every generator. Returns its loss terms, each (M,)."""
    rows, logits_MNV, fake_MNV, fake = _fakes(members, batch, rules)
    with torch.set_grad_enabled(rules.as_fairseq):
        composed = compose([m.discriminator for m in members], dtype=rules.discriminator_dtype)
    scores_fake = scores(composed, hidden_rows(composed, fake_MNV, fake), fake)
    game_M = rules.objective.generator(scores_fake)
    terms = _regularisers(members, batch, rules, rows, logits_MNV, fake)
    total_M = game_M
    for name, term_M in terms.items():
        total_M = total_M + _weights(members, name, total_M) * term_M
    _update(total_M.sum(), members, rules, generators_turn=True)
    return {
        "generator_loss": game_M.detach(),
        **{name: term_M.detach() for name, term_M in terms.items()},
        "output_length": fake.lengths_MB.float().mean(1),
    }


def match_ngrams(
    members: Sequence[Member], batch: Batch, rules: Rules, table: NgramTable
) -> dict[str, Tensor]:
    """One update of every generator towards the text's N-grams, without a discriminator.

    A segment's row holds `rules.frames_per_segment` frames one after the other.
    """
    num_members, num_rows, width = batch.features_MND.shape
    num_frames = rules.frames_per_segment
    frames = batch.features_MND.reshape(num_members, num_rows * num_frames, width // num_frames)
    rows = generate(
        [m.generator for m in members],
        frames,
        batch.speech.with_lengths(lambda lengths_MB: lengths_MB * num_frames),
        dropout=rules.dropout,
        draws=batch.draws,
    )
    posteriors_MNFV = torch.softmax(rows.logits_MNV, -1).unflatten(1, (num_rows, num_frames))
    drawn_MNV = draw_frames(posteriors_MNFV, batch.speech, batch.draws)
    game_M = ngram_loss(drawn_MNV, batch.speech, table)
    smoothness_M = frame_smoothness(posteriors_MNFV, batch.speech)
    total_M = game_M + _weights(members, "smoothness", game_M) * smoothness_M
    _update(total_M.sum(), members, rules, generators_turn=True)
    return {"generator_loss": game_M.detach(), "smoothness": smoothness_M.detach()}


def _regularisers(
    members: Sequence[Member],
    batch: Batch,
    rules: Rules,
    rows: Generated,
    logits_MNV: Tensor,
    joined: Packing,
) -> dict[str, Tensor]:
    """The generator's other terms by the name of their weight, each (M,)."""
    posteriors_MNV = torch.softmax(logits_MNV, -1)
    if rules.as_fairseq:
        terms = {
            "diversity": losses.padded_diversity_penalty(posteriors_MNV, joined),
            "smoothness": losses.padded_smoothness_penalty(logits_MNV, joined),
        }
    else:
        terms = {
            "diversity": losses.diversity_penalty(posteriors_MNV, joined),
            "smoothness": losses.smoothness_penalty(logits_MNV, joined),
        }
    starts = [m.start for m in members if m.start is not None]
    if len(starts) == len(members):
        with torch.no_grad():
            anchor = generate(starts, batch.features_MND, batch.speech, dtype=rules.generator_dtype)
        terms["anchor"] = losses.anchor_penalty(rows.logits_MNV, anchor.logits_MNV, anchor.packing)
    if rows.auxiliary_MNA is not None and batch.targets_MN is not None:
        auxiliary_loss = losses.padded_auxiliary_loss if rules.as_fairseq else losses.auxiliary_loss
        terms["auxiliary"] = auxiliary_loss(rows.auxiliary_MNA, batch.targets_MN, batch.speech)
    return terms


def _fakes(
    members: Sequence[Member], batch: Batch, rules: Rules
) -> tuple[Generated, Tensor, Tensor, Packing]:
    """What generators said, the logits that JOIN kept, and what the discriminator reads of them."""
    rows = generate(
        [m.generator for m in members],
        batch.features_MND,
        batch.speech,
        dropout=rules.dropout,
        draws=batch.draws,
        padded=rules.as_fairseq,
        dtype=rules.generator_dtype,
    )
    logits_MNV, joined = rows.logits_MNV, rows.packing
    if rules.join:
        uniform_MN = batch.draws.uniform_rows(joined)
        logits_MNV, joined = join_random(
            logits_MNV, joined, uniform_MN, fixed_rows=rules.fixed_rows
        )
    if rules.as_fairseq:
        joined = replace(joined, columns_M=padded_columns(rows.packing, joined))
    fakes_MNV = (
        sample_phones(logits_MNV, joined, batch.draws)
        if rules.hard_samples
        else torch.softmax(logits_MNV, -1)
    )
    return rows, logits_MNV, fakes_MNV.masked_fill(joined.is_filler_MN[..., None], 0.0), joined


def sample_phones(logits_MNV: Tensor, packing: Packing, draws: Draws) -> Tensor:
    """One-hot phones drawn from the posteriors, with the posteriors' slope: straight-through.

    Soft posteriors give themselves away by not being one-hot, and a discriminator that looks at
    nothing else teaches no phonotactics. The slope is that of the posteriors alone (Bengio et al.
    2013): rows are drawn independently, so it has no bias for a score linear in each row. The
    slope of Gumbel-softmax at temperature 1 (Jang et al. 2017) has one, and learned nothing.
    """
    posteriors_MNV = torch.softmax(logits_MNV, -1)
    uniform_MN = draws.uniform_rows(packing)
    passed_MNV = posteriors_MNV.detach().cumsum(-1) <= uniform_MN[..., None]
    drawn_MN = passed_MNV.sum(-1).clamp_max(logits_MNV.shape[-1] - 1)
    drawn_MNV = one_hot(drawn_MN, logits_MNV.shape[-1], logits_MNV.dtype)
    return drawn_MNV + (posteriors_MNV - posteriors_MNV.detach())


def _weights(members: Sequence[Member], name: str, like: Tensor) -> Tensor:
    values = tuple(getattr(member.options, name) for member in members)
    return _sent_once(values, like.dtype, like.device)


@cache
def _sent_once(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(values).to(device, dtype)


def _update(
    loss: Tensor, members: Sequence[Member], rules: Rules, *, generators_turn: bool
) -> None:
    """Step the players whose turn it is; the others only lend their gradients' norm, if at all."""
    for member in members:
        member.generator_optimizer.zero_grad(set_to_none=True)
        member.discriminator_optimizer.zero_grad(set_to_none=True)
    loss.backward()
    for member in members:
        player = member.generator if generators_turn else member.discriminator
        clipped = list(player.parameters())
        if rules.as_fairseq:
            clipped = [*member.generator.parameters(), *member.discriminator.parameters()]
        nn.utils.clip_grad_norm_(clipped, member.options.clip_norm)
        optimizer = (
            member.generator_optimizer if generators_turn else member.discriminator_optimizer
        )
        optimizer.step()
