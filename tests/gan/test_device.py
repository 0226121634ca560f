"""The game on an accelerator: batches are gathered there, and no update makes the host wait."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gan import resident, turns
from gan.batches import UnpairedData
from gan.draws import DeviceDraws
from gan.matching import SkipBigramMatching
from gan.options import AdversarialOptions, game_options, game_rules, new_players
from gan.packing import Packing
from gan.resident import ResidentData
from gan.steps import Member, train_discriminators, train_generators
from gan.trainer import play
from tests.gan.test_trainer import PHONES, SMALL, distinct, segments, sentences, train, weights
from tests.pretend_device import DEVICE, pretend_device
from unsup_asr import compute
from unsup_asr.formats.ragged import RaggedArray

WAV2VEC_U_2 = {
    "generator_stride": 2,
    "generator_batch_norm": 30.0,
    "generator_residual": True,
    "num_auxiliary_classes": 3,
    "auxiliary": 0.5,
}
SHORT = {"precision": "bfloat16"}


def data() -> UnpairedData:
    rows = segments()
    classes = {i: np.arange(len(rows[i]), dtype=np.int32) % 3 for i in rows}
    return UnpairedData.check(
        rows,
        sentences(30, seed=2),
        num_phones=PHONES,
        auxiliary_classes=RaggedArray.from_arrays(classes),
    )


@pytest.fixture
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resident, "GRANULE", 16)


@pytest.mark.usefixtures("few_rows")
def test_a_batch_gathered_there_is_the_one_that_the_host_gathers() -> None:
    expected = data().draw(3, seeds=[0, 8], batch_size=4, device="cpu")
    with pretend_device() as pretend:
        found = ResidentData.of(data(), DEVICE)
        pretend.clear()
        batch = found.draw(3, seeds=[0, 8], batch_size=4)
        assert pretend.host_reads == Counter()
        assert pretend.bytes_sent.total() < 4000  # numbers of utterances and rows, no features
        features, phones = batch.features_MND.cpu(), batch.text_MN.cpu()
        assert batch.targets_MN is not None
        targets, filler = batch.targets_MN.cpu(), batch.speech.is_filler_MN.cpu()
    rows, count = expected.features_MND.shape[1], expected.text_MN.shape[1]
    assert features.shape[1] % 16 == 0
    assert torch.equal(features[:, :rows], expected.features_MND)
    assert torch.equal(phones[:, :count], expected.text_MN)
    assert torch.equal(targets[:, :rows], expected.targets_MN)
    assert not features[filler].any()
    assert bool((targets[filler] == -1).all())


def test_values_that_are_not_finite_are_named_before_the_first_update() -> None:
    broken = {"good": np.zeros((2, 2), np.float32), "bad": np.full((1, 2), np.inf, np.float32)}
    read = UnpairedData.check(RaggedArray.from_arrays(broken), sentences(2, seed=0), num_phones=5)
    with pytest.raises(ValueError, match="'bad' hold NaN or infinite"):
        ResidentData.of(read, torch.device("cpu"))


def test_float16_segments_stay_float16_until_they_are_gathered() -> None:
    half = {i: x.astype(np.float16) for i, x in segments().items()}
    read = UnpairedData.check(RaggedArray.from_arrays(half), sentences(2, seed=0), num_phones=5)
    found = ResidentData.of(read, torch.device("cpu"))
    assert found.segments.values.dtype is torch.float16
    assert found.draw(0, seeds=[0], batch_size=2).features_MND.dtype is torch.float32


def test_segments_held_in_bfloat16_are_gathered_in_it() -> None:
    found = ResidentData.of(data(), torch.device("cpu"), dtype=torch.bfloat16)
    features = found.draw(0, seeds=[0], batch_size=2).features_MND
    assert features.dtype is torch.bfloat16
    expected = ResidentData.of(data(), torch.device("cpu")).draw(0, seeds=[0], batch_size=2)
    assert torch.equal(features, expected.features_MND.bfloat16())


def test_draws_of_the_device_follow_from_seed_and_update_alone() -> None:
    packing = Packing.of_lengths(torch.tensor([[3, 4], [5, 2]]))
    values = torch.zeros(2, 7, 50)
    cpu = torch.device("cpu")

    def drawn(seeds: list[int], step: int) -> list[torch.Tensor]:
        draws = DeviceDraws.of(seeds, step, cpu)
        dropped = draws.dropped(values[: len(seeds)], packing, 0.25)
        return [dropped, draws.uniform_rows(packing), draws.whole(5, packing)]

    both, again, later = drawn([1, 2], 7), drawn([1, 2], 7), drawn([1, 2], 8)
    for one, other, next_ones in zip(both, again, later, strict=True):
        assert torch.equal(one, other)
        assert not torch.equal(one, next_ones)
        assert not torch.equal(one[0], one[1])
    assert torch.equal(drawn([2], 7)[0][0], both[0][1])  # alone as beside another
    assert 0.15 < both[0].float().mean() < 0.35
    assert 0 <= int(both[2].min()) <= int(both[2].max()) <= 4


@pytest.mark.parametrize(
    ("step", "changes"),
    [
        *itertools.product(
            (train_generators, train_discriminators),
            ({}, {"hard_samples": True}, {"padding": "reference"}, {"join": False}, WAV2VEC_U_2),
        )
    ],
)
def test_an_update_there_has_the_numbers_of_the_cpu_and_no_host_read(step, changes: dict) -> None:
    options = replace(AdversarialOptions(discriminator_hidden=8, batch_size=4), **changes)
    batches = [data().draw(1, seeds=[0, 1], batch_size=4, device="cpu") for _ in range(2)]

    def members(device: torch.device) -> list[Member]:
        made = []
        for seed in range(2):
            players = new_players(replace(options, seed=seed), input_dim=PHONES, num_phones=PHONES)
            made.append(Member(game_options(options), *(player.to(device) for player in players)))
        return made

    rules = game_rules(options)
    expected = step(members(torch.device("cpu")), batches[0], rules)
    with pretend_device() as pretend:
        there = members(DEVICE)
        batch = batches[1]
        moved = replace(
            batch,
            features_MND=batch.features_MND.to(DEVICE),
            speech=batch.speech.to(DEVICE),
            text_MN=batch.text_MN.to(DEVICE),
            text=batch.text.to(DEVICE),
            targets_MN=None if batch.targets_MN is None else batch.targets_MN.to(DEVICE),
        )
        pretend.clear()
        found = step(there, moved, replace(rules, fixed_rows=True))
        assert pretend.host_reads == Counter()
        found = {name: term.cpu() for name, term in found.items()}
    for name, term in expected.items():
        torch.testing.assert_close(found[name], term, rtol=1e-3, atol=1e-4)


@pytest.mark.usefixtures("few_rows")
@pytest.mark.parametrize("is_resident", [True, False])
def test_a_game_is_played_there_from_its_start_to_its_end(
    is_resident: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "free_bytes", lambda _: np.inf if is_resident else 1000)
    options = replace(SMALL, generator_learning_rate=0.01)
    with pretend_device() as pretend, compute.using(DEVICE):
        whole = train(options, tmp_path / "whole")
        reads = pretend.host_reads.total()
        train(replace(options, validate_every=12), tmp_path / "seldom")
        seldom = pretend.host_reads.total() - reads
        with pytest.raises(KeyboardInterrupt):
            train(options, tmp_path / "killed", progress=_interrupt_at(7))
        resumed = train(options, tmp_path / "killed")
        assert torch.equal(weights(resumed).cpu(), weights(whole).cpu())
        assert bool(torch.isfinite(weights(whole)).all().cpu())
    assert [row["update"] for row in whole.history] == [0.0, 4.0, 8.0, 12.0]
    assert resumed.history == whole.history
    assert seldom < reads  # they belong to validations, not to updates


def _interrupt_at(update: int):
    played = itertools.count(1)

    def progress() -> None:
        if next(played) == update:
            raise KeyboardInterrupt

    return progress


@pytest.mark.usefixtures("few_rows")
@pytest.mark.parametrize(
    "changes", [{}, {"hard_samples": True}, {"padding": "reference"}, WAV2VEC_U_2, SHORT]
)
def test_segments_that_do_not_fit_there_are_played_with_as_if_they_did(
    changes: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit, two members beside each other."""
    precision = changes.get("precision", "float32")
    options = replace(
        AdversarialOptions(**vars(SMALL)),
        **{name: value for name, value in changes.items() if name != "precision"},
        generator_learning_rate=0.01,
    )
    played = {}
    with pretend_device(), compute.using(DEVICE, precision):
        for free in (np.inf, 1000):
            monkeypatch.setattr(turns, "free_bytes", lambda _, free=free: free)
            found = play(
                [replace(options, seed=seed) for seed in range(2)],
                segments(),
                sentences(30, seed=2),
                num_phones=PHONES,
                validate=distinct,
                checkpoint_dir=tmp_path / str(free),
                auxiliary_classes=data().auxiliary_classes if options.auxiliary else None,
            )
            own = [member.generator.state_dict() for member in found]
            played[free] = [{name: x.cpu() for name, x in state.items()} for state in own]
    for fitting, not_fitting in zip(*played.values(), strict=True):
        for name, expected in fitting.items():
            assert torch.equal(not_fitting[name], expected), name


@pytest.mark.usefixtures("few_rows")
def test_of_segments_that_do_not_fit_a_batch_sends_its_own_and_each_once() -> None:
    half = {i: x.astype(np.float16) for i, x in segments().items()}
    read = UnpairedData.check(RaggedArray.from_arrays(half), sentences(9, seed=0), num_phones=5)
    with pretend_device() as pretend, compute.using(DEVICE):
        found = ResidentData.of(read, DEVICE, free_bytes=1000)
        assert not found.holds_segments
        pretend.clear()
        batch = found.draw(0, seeds=[0, 1], batch_size=20)  # both read all utterances
        assert pretend.host_reads == Counter()
        rows = len(read.segments.values_array)
        assert pretend.bytes_sent.total() <= (rows + 16) * PHONES * 2 + 2 * 4 * 20 * 8
        assert batch.features_MND.dtype is torch.float32
        there = ResidentData.of(read, DEVICE).draw(0, seeds=[0, 1], batch_size=20)
        assert torch.equal(batch.features_MND.cpu(), there.features_MND.cpu())


def test_a_value_that_is_not_finite_is_named_by_the_batch_that_reads_it() -> None:
    broken = {f"u{i}": np.full((2, 2), np.nan if i == 3 else 0, np.float32) for i in range(6)}
    read = UnpairedData.check(RaggedArray.from_arrays(broken), sentences(2, seed=0), num_phones=5)
    found = ResidentData.of(read, torch.device("cpu"), free_bytes=10)
    with pytest.raises(ValueError, match="'u3' hold NaN or infinite"):
        found.draw(0, seeds=[0], batch_size=6)


def test_matching_has_the_same_table_there() -> None:
    rng = np.random.default_rng(0)
    clusters = [rng.integers(6, size=12).astype(np.int32) for _ in range(8)]
    centroids = rng.standard_normal((6, 3)).astype(np.float32)
    matcher = SkipBigramMatching(
        num_lags=2, restarts=2, iterations=5, finalists=1, final_iterations=5
    )
    text = sentences(10, seed=2)
    expected = matcher.match(clusters, centroids, text, num_phones=PHONES)
    with pretend_device(), compute.using(DEVICE):
        found = matcher.match(clusters, centroids, text, num_phones=PHONES)
    np.testing.assert_allclose(found.table_KV, expected.table_KV, atol=1e-5)
