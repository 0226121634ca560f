"""One adversarial update written plainly: padded batches, three convolutions, double backward."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from gan.batches import Batch
from gan.generator import generate
from gan.join import join_random
from gan.losses import diversity_penalty, smoothness_penalty
from gan.options import AdversarialOptions
from gan.steps import Member


class PlainGame:
    """The two turns of one member on one batch, which is padded once, beforehand."""

    def __init__(self, member: Member, batch: Batch, options: AdversarialOptions) -> None:
        self._member = member
        self._batch = batch
        self._options = options
        self._lengths_B = batch.text.lengths_MB[0]
        shape = member.discriminator.shape
        text_NV = F.one_hot(batch.text_MN[0], shape.num_phones).float()
        self._text_BTV = pad_sequence(
            list(text_NV.split(self._lengths_B.tolist())), batch_first=True
        )

    def train_discriminator(self) -> None:
        with torch.no_grad():
            fake_BTV, fake_lengths_B, _ = self._fakes()
        discriminator = self._member.discriminator
        self._member.discriminator_optimizer.zero_grad()
        loss = F.softplus(-discriminator(fake_BTV, fake_lengths_B)).mean()
        loss = loss + F.softplus(discriminator(self._text_BTV, self._lengths_B)).mean()
        steps = min(fake_BTV.shape[1], self._text_BTV.shape[1])
        share_B11 = torch.rand(len(fake_BTV), 1, 1)
        between = share_B11 * self._text_BTV[:, :steps] + (1 - share_B11) * fake_BTV[:, :steps]
        between.requires_grad_()
        score_B = discriminator(between, torch.full((len(between),), steps))
        (gradient,) = torch.autograd.grad(score_B.sum(), between, create_graph=True)
        penalty = (gradient.norm(dim=1) - 1).square().sum(1).mean()
        (loss + self._options.gradient_penalty * penalty).backward()
        self._member.discriminator_optimizer.step()

    def train_generator(self) -> None:
        fake_BTV, fake_lengths_B, regularisers = self._fakes()
        self._member.generator_optimizer.zero_grad()
        score_B = self._member.discriminator(fake_BTV, fake_lengths_B)
        (F.softplus(score_B).mean() + regularisers).backward()
        self._member.generator_optimizer.step()

    def _fakes(self) -> tuple[Tensor, Tensor, Tensor]:
        """Padded posteriors, their lengths, and the generator's weighted other terms."""
        batch, options = self._batch, self._options
        rows = generate(
            [self._member.generator],
            batch.features_MND,
            batch.speech,
            dropout=options.generator_dropout,
            draws=batch.draws,
        )
        uniform_MN = torch.rand(rows.packing.sequence_MN.shape)
        logits_MNV, joined = join_random(rows.logits_MNV, rows.packing, uniform_MN)
        posteriors_MNV = torch.softmax(logits_MNV, -1)
        lengths_B = joined.lengths_MB[0]
        real_NV = posteriors_MNV[0, : int(lengths_B.sum())]
        diversity = options.diversity * diversity_penalty(posteriors_MNV, joined)[0]
        smoothness = options.smoothness * smoothness_penalty(logits_MNV, joined)[0]
        padded_BTV = pad_sequence(list(real_NV.split(lengths_B.tolist())), batch_first=True)
        return padded_BTV, lengths_B, diversity + smoothness
