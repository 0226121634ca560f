"""`padding: reference` against a slow step over padded batches, written from what fairseq does.

Both turns, wav2vec-U 1.0 and 2.0: every loss term and every gradient of both players, unclipped.

Axes: B sequences, T segments, S joined segments, V phones and specials.
"""

from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gan.batches import Batch, UnpairedData
from gan.options import AdversarialOptions, game_options, game_rules, new_players
from gan.penalty import NUM_SPECIALS, PAD_OFFSET
from gan.steps import Member, train_discriminators, train_generators
from unsup_asr.formats.ragged import RaggedArray

PHONES, DIM, CLASSES = 4, 6, 3
W2VU = AdversarialOptions(
    batch_size=5,
    generator_dropout=0.0,
    generator_learning_rate=0.0,
    discriminator_learning_rate=0.0,
    discriminator_hidden=8,
    discriminator_kernel=3,
    clip_norm=1e9,
    padding="reference",
)
W2VU2 = replace(
    W2VU,
    generator_kernel=9,
    generator_stride=3,
    generator_batch_norm=30.0,
    generator_residual=True,
    auxiliary=0.5,
    num_auxiliary_classes=CLASSES,
)
PRESETS = pytest.mark.parametrize("options", [W2VU, W2VU2], ids=["wav2vec-U 1.0", "wav2vec-U 2.0"])
SEEDS = pytest.mark.parametrize("seed", range(4))


def player(options: AdversarialOptions) -> Member:
    generator, discriminator = new_players(options, input_dim=DIM, num_phones=PHONES)
    return Member(game_options(options), generator, discriminator)


def draw(options: AdversarialOptions) -> Batch:
    rng = np.random.default_rng(options.seed)
    lengths = rng.integers(6, 15, size=5)
    speech = {
        f"u{i}": rng.standard_normal((n, DIM), dtype=np.float32) for i, n in enumerate(lengths)
    }
    classes = {i: rng.integers(-1, CLASSES, len(x)).astype(np.int32) for i, x in speech.items()}
    text = [rng.integers(PHONES, size=rng.integers(4, 12)).astype(np.int32) for _ in range(20)]
    data = UnpairedData.check(
        RaggedArray.from_arrays(speech),
        text,
        num_phones=PHONES,
        auxiliary_classes=RaggedArray.from_arrays(classes) if options.auxiliary else None,
    )
    return data.draw(0, seeds=[options.seed], batch_size=5, device="cpu")


class Slow:
    """One member's batch, padded, and what both turns make of it."""

    def __init__(self, member: Member, batch: Batch, options: AdversarialOptions) -> None:
        self.member, self.options = member, options
        self.rng = np.random.default_rng([options.seed, 1, 0])  # as the batch's own, from the start
        self.rng.integers(20, size=5)  # the sentences
        ends = batch.speech.lengths_MB[0].cumsum(0).tolist()
        speech = np.split(batch.features_MND[0].numpy(), ends[:-1])
        self.lengths, longest = [len(x) for x in speech], max(len(x) for x in speech)
        features_BTD = torch.zeros(5, longest, DIM)
        is_padding_BT = torch.ones(5, longest, dtype=torch.bool)
        self.targets_BT = torch.full((5, longest), -1)
        for b, (x, end) in enumerate(zip(speech, ends, strict=True)):
            features_BTD[b, : len(x)] = torch.from_numpy(x)
            is_padding_BT[b, : len(x)] = False
            if batch.targets_MN is not None:
                self.targets_BT[b, : len(x)] = batch.targets_MN[0, end - len(x) : end]
        logits_BTV, is_padding = self.generate(features_BTD, is_padding_BT)
        self.logits_BSV, self.is_padding_BS = self.join(logits_BTV, is_padding)
        self.fake_BSV = torch.softmax(self.logits_BSV, -1)
        self.fake_lengths_B = (~self.is_padding_BS).sum(1)
        self.text_lengths_B = batch.text.lengths_MB[0]
        pad_V = F.one_hot(torch.tensor(PHONES + PAD_OFFSET), PHONES + NUM_SPECIALS).float()
        self.real_BSV = pad_V.repeat(5, int(self.text_lengths_B.max()), 1)
        one_hot_NV = F.one_hot(batch.text_MN[0], PHONES + NUM_SPECIALS).float()
        rows = one_hot_NV[: int(self.text_lengths_B.sum())].split(self.text_lengths_B.tolist())
        for b, sentence in enumerate(rows[:5]):
            self.real_BSV[b, : len(sentence)] = sentence

    def generate(self, features_BTD: Tensor, is_padding_BT: Tensor) -> tuple[Tensor, Tensor]:
        net, shape = self.member.generator, self.member.generator.shape
        hidden = features_BTD
        if net.norm is not None:
            spoken = net.norm(features_BTD[~is_padding_BT])
            hidden = features_BTD.clone()
            hidden[~is_padding_BT] = spoken
        if net.residual is not None:
            self.inter = net.residual(hidden)
            hidden = hidden + self.inter
        convolved = F.conv1d(
            hidden.transpose(1, 2), net.conv.weight, stride=shape.stride, padding=shape.kernel // 2
        ).transpose(1, 2)
        is_padding = is_padding_BT[:, :: shape.stride]
        if convolved.shape[1] == is_padding.shape[1] + 1:
            is_padding = F.pad(is_padding, (1, 0))
        assert convolved.shape[1] == is_padding.shape[1]
        return convolved, is_padding

    def join(self, logits_BTV: Tensor, is_padding_BT: Tensor) -> tuple[Tensor, Tensor]:
        uniform = iter(self.rng.random(int((~is_padding_BT).sum()), dtype=np.float32))
        picked, num_columns = [], 0
        for logits_TV, is_padding_T in zip(logits_BTV, is_padding_BT, strict=True):
            best_T = logits_TV.argmax(1).masked_fill(is_padding_T, -1).tolist()
            runs = [(phone, len(list(run))) for phone, run in groupby(best_T)]
            num_columns = max(num_columns, len(runs))
            first, of_utterance = 0, []
            for phone, length in runs:
                if phone != -1:
                    share, *_ = [next(uniform) for _ in range(length)]
                    of_utterance.append(logits_TV[first + int(length * share)])
                first += length
            picked.append(torch.stack(of_utterance))
        logits_BSV = torch.zeros(5, num_columns, logits_BTV.shape[2])
        is_padding_BS = torch.ones(5, num_columns, dtype=torch.bool)
        for b, rows in enumerate(picked):
            logits_BSV[b, : len(rows)] = rows
            is_padding_BS[b, : len(rows)] = False
        return logits_BSV, is_padding_BS

    def discriminator_terms(self) -> dict[str, Tensor]:
        score = self.member.discriminator
        on_fake, on_real = (
            F.binary_cross_entropy_with_logits(
                score(x, lengths), torch.full((5,), label), reduction="sum"
            )
            for x, lengths, label in (
                (self.fake_BSV, self.fake_lengths_B, 1.0),
                (self.real_BSV, self.text_lengths_B, 0.0),
            )
        )
        steps = min(self.fake_BSV.shape[1], self.real_BSV.shape[1])
        share = torch.from_numpy(self.rng.random(5, dtype=np.float32))[:, None, None]
        between = share * self.real_BSV[:, :steps] + (1 - share) * self.fake_BSV[:, :steps]
        if not between.requires_grad:
            between.requires_grad_()
        scores = score(between, torch.full((5,), steps))
        (slope,) = torch.autograd.grad(scores.sum(), between, create_graph=True)
        penalty = (slope.norm(2, dim=1) - 1).square().sum()
        return {"discriminator_loss": (on_fake + on_real) / 5, "gradient_penalty": penalty / 5}

    def generator_terms(self) -> dict[str, Tensor]:
        scores = self.member.discriminator(self.fake_BSV, self.fake_lengths_B)
        look_real = F.binary_cross_entropy_with_logits(scores, torch.zeros(5), reduction="sum")
        mean_V = self.fake_BSV.reshape(-1, self.fake_BSV.shape[2]).mean(0)
        used = torch.exp(-(mean_V * torch.log(mean_V + 1e-7)).sum())
        size = len(mean_V)
        change = F.mse_loss(self.logits_BSV[:, :-1], self.logits_BSV[:, 1:], reduction="none")
        change = change.masked_fill(self.is_padding_BS[:, 1:, None], 0.0)
        terms = {
            "generator_loss": look_real / 5,
            "diversity": (size - used) / size,
            "smoothness": change.mean(),
        }
        if self.member.generator.auxiliary is not None:
            wrong = F.cross_entropy(
                self.member.generator.auxiliary(self.inter).transpose(1, 2),
                self.targets_BT,
                ignore_index=-1,
                reduction="none",
            )
            terms["auxiliary"] = wrong.mean()
        return terms


def compare(options: AdversarialOptions, *, generators_turn: bool) -> None:
    fast, slow = player(options), player(options)
    step = train_generators if generators_turn else train_discriminators
    found = step([fast], draw(options), game_rules(options))
    reference = Slow(slow, draw(options), options)
    expected = reference.generator_terms() if generators_turn else reference.discriminator_terms()
    total = torch.zeros(())
    for name, term in expected.items():
        torch.testing.assert_close(found[name][0], term.detach(), atol=1e-5, rtol=1e-4)
        total = total + getattr(options, name, 1.0) * term
    total.backward()
    for module in ("generator", "discriminator"):
        of_fast = dict(getattr(fast, module).named_parameters())
        for name, parameter in getattr(slow, module).named_parameters():
            gradient, other = of_fast[name].grad, parameter.grad
            if gradient is None and other is None:
                continue
            other = torch.zeros_like(parameter) if other is None else other
            gradient = torch.zeros_like(parameter) if gradient is None else gradient
            torch.testing.assert_close(gradient, other, atol=1e-5, rtol=1e-3)


@SEEDS
@PRESETS
def test_a_generators_turn_is_fairseqs(options: AdversarialOptions, seed: int) -> None:
    compare(replace(options, seed=seed), generators_turn=True)


@SEEDS
@PRESETS
def test_a_discriminators_turn_is_fairseqs(options: AdversarialOptions, seed: int) -> None:
    compare(replace(options, seed=seed), generators_turn=False)


def test_masked_turns_are_not_fairseqs() -> None:
    """The comparison would see a difference."""
    with pytest.raises(AssertionError):
        compare(replace(W2VU, padding="masked"), generators_turn=True)
