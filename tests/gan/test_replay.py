"""Replayed updates are the updates that would have been played."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gan import resident
from gan.options import AdversarialOptions, game_options, game_rules, new_players
from gan.replay import WARM_UP, Replays
from gan.resident import ResidentData
from gan.steps import Member, train_discriminators, train_generators
from tests.gan.test_device import WAV2VEC_U_2, data
from tests.gan.test_trainer import PHONES
from tests.pretend_device import DEVICE, pretend_device
from tests.pretend_graph import HostReadError, PretendRecorder

SMALL = AdversarialOptions(
    discriminator_hidden=8,
    batch_size=4,
    generator_learning_rate=0.01,
    discriminator_learning_rate=0.01,
)
KINDS = [{}, {"hard_samples": True}, {"join": False}, WAV2VEC_U_2]


@pytest.fixture(autouse=True)
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resident, "GRANULE", 16)


def members(options: AdversarialOptions, device: torch.device) -> list[Member]:
    made = []
    for seed in range(2):
        one = replace(options, seed=seed)
        players = new_players(one, input_dim=PHONES, num_phones=PHONES)
        made.append(Member(game_options(one), *(player.to(device) for player in players)))
    return made


def changed_by(playing: list[Member]) -> Iterator[Tensor]:
    for member in playing:
        for player in (member.generator, member.discriminator):
            yield from player.parameters()
            yield from player.buffers()
        for optimizer in (member.generator_optimizer, member.discriminator_optimizer):
            for state in optimizer.state.values():
                yield from state.values()


@pytest.mark.parametrize("changes", KINDS)
def test_replayed_updates_have_the_numbers_of_played_ones(changes: dict) -> None:
    options = replace(SMALL, **changes)
    rules = replace(game_rules(options), fixed_rows=True)
    cpu = torch.device("cpu")
    source = ResidentData.of(data(), cpu)
    played, replayed = members(options, cpu), members(options, cpu)
    recorder = PretendRecorder(lambda: changed_by(replayed))
    replays = Replays(replayed, rules, source, recorder)
    terms = []
    for update in range(24):
        step = train_generators if update % 2 else train_discriminators
        choice = source.choose(update, seeds=[0, 1], batch_size=4)
        expected = step(played, source.gather(choice), rules)
        found = replays.play(step, source.choose(update, seeds=[0, 1], batch_size=4))
        assert list(found) == list(expected)
        terms.append((found, expected))
    for found, expected in terms:  # also those of earlier updates, which later ones leave alone
        for name, term in expected.items():
            torch.testing.assert_close(found[name], term, rtol=1e-4, atol=1e-4)
    assert 2 <= recorder.recorded < 24 - 2 * WARM_UP
    for one, other in zip(changed_by(played), changed_by(replayed), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("changes", KINDS)
def test_a_recorded_update_would_read_nothing_and_send_nothing(changes: dict) -> None:
    """What the host sends while a graph is recorded would be sent again as it was then."""
    options = replace(SMALL, **changes)
    rules = replace(game_rules(options), fixed_rows=True)
    with pretend_device() as pretend:
        playing = members(options, DEVICE)
        source = ResidentData.of(data(), DEVICE)
        for step in (train_generators, train_discriminators):
            for update in range(2):  # the first sends the terms' weights, once and for all
                choice = source.choose(update, seeds=[0, 1], batch_size=4)
                there = replace(choice, numbers_4MB=choice.numbers_4MB.to(DEVICE))
                pretend.clear()
                step(playing, source.gather(there), rules)
            assert pretend.host_reads == Counter()
            assert pretend.bytes_sent == Counter()


def test_an_update_that_reads_a_value_cannot_be_recorded() -> None:
    recorder = PretendRecorder(list)
    with pytest.raises(HostReadError):
        recorder.record(lambda: torch.full((1,), float(torch.ones(1))), [])


def test_the_generators_update_is_recorded_once_whatever_the_rows_of_text() -> None:
    cpu = torch.device("cpu")
    playing = members(SMALL, cpu)
    recorder = PretendRecorder(lambda: changed_by(playing))
    rules = replace(game_rules(SMALL), fixed_rows=True)
    replays = Replays(playing, rules, ResidentData.of(data(), cpu), recorder)
    choice = replays.data.choose(0, seeds=[0, 1], batch_size=4)
    for update in range(3 * WARM_UP):
        replays.play(train_generators, replace(choice, text_rows=16 * (3 + update)))
    assert recorder.recorded == 1
