"""A member trained beside others has the numbers that it has alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gan.batches import UnpairedData
from gan.population import GameOptions, Member, Rules, train_discriminators, train_generators
from gan.trainer import AdversarialTrainer, game_options, new_players
from unsup_asr.ragged import RaggedArray

PHONES, DIM = 5, 6
OPTIONS = AdversarialTrainer(
    batch_size=4,
    generator_learning_rate=1e-2,
    discriminator_learning_rate=1e-2,
    discriminator_hidden=8,
    discriminator_kernel=3,
)
RULES = Rules(dropout=0.1, joint_penalty=False, discriminator_dtype=torch.float32)


def data() -> UnpairedData:
    rng = np.random.default_rng(0)
    segments = {
        f"u{i}": rng.standard_normal((rng.integers(3, 15), DIM)).astype(np.float32)
        for i in range(12)
    }
    text = [rng.integers(PHONES, size=rng.integers(3, 12)).astype(np.int32) for _ in range(20)]
    return UnpairedData.check(RaggedArray.from_arrays(segments), text, num_phones=PHONES)


def member(seed: int, **changes: float) -> Member:
    options = replace(OPTIONS, seed=seed)
    generator, discriminator = new_players(options, input_dim=DIM, num_phones=PHONES)
    found: GameOptions = replace(game_options(options), **changes)
    return Member(found, generator, discriminator)


def play(members: list[Member], updates: int = 6) -> None:
    source = data()
    for update in range(updates):
        batch = source.draw(
            update, seeds=[m.options.seed for m in members], batch_size=4, device="cpu"
        )
        step = train_generators if update % 2 else train_discriminators
        step(members, batch, RULES)


def make_members() -> list[Member]:
    return [
        member(0),
        member(1, generator_learning_rate=3e-2, diversity=1.0),
        member(2, gradient_penalty=5.0, smoothness=0.1),
    ]


def test_members_together_equal_members_alone() -> None:
    together, alone = make_members(), make_members()
    play(together)
    for single in alone:
        play([single])
    for one, other in zip(together, alone, strict=True):
        for module in ("generator", "discriminator"):
            for a, b in zip(
                getattr(one, module).parameters(), getattr(other, module).parameters(), strict=True
            ):
                torch.testing.assert_close(a, b, atol=2e-5, rtol=2e-4)


def test_members_differ_from_one_another() -> None:
    members = make_members()
    play(members)
    first, second = (m.generator.conv.weight for m in members[:2])
    assert float((first - second).detach().abs().max()) > 1e-3


def test_a_discriminator_update_leaves_generators_alone_and_the_reverse() -> None:
    members = make_members()
    source = data()
    for step, still in (
        (train_discriminators, "generator"),
        (train_generators, "discriminator"),
    ):
        before = [p.clone() for m in members for p in getattr(m, still).parameters()]
        batch = source.draw(0, seeds=[0, 1, 2], batch_size=4, device="cpu")
        step(members, batch, RULES)
        after = [p for m in members for p in getattr(m, still).parameters()]
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_gradient_that_is_not_finite_ends_the_training() -> None:
    broken = member(0)
    with torch.no_grad():
        broken.discriminator.score.weight.fill_(float("nan"))
    with pytest.raises(RuntimeError, match="non-finite"):
        play([broken], updates=1)
