"""Mixtures against scipy's densities, Viterbi against all paths, learning on made-up emissions."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy.stats import norm

from unsup_asr.acoustic import hmm
from unsup_asr.acoustic.hmm import HMMTraining, PhoneHMM, StateMap, _batches
from unsup_asr.acoustic.mixtures import DiagonalMixtures, first_mixtures

PHONES = ["a", "b", "sil"]


def _mixtures(seed=0, states=3, components=2, dims=4):
    g = torch.Generator().manual_seed(seed)
    weight = torch.rand(states, components, generator=g)
    return DiagonalMixtures(
        weight / weight.sum(1, keepdim=True),
        torch.randn(states, components, dims, generator=g),
        torch.rand(states, components, dims, generator=g) + 0.3,
    )


def _spoken(rng, num_utterances=30):
    """Frames around one point a phone (two for sil, one after the other), and their labels."""
    points = np.array([[4.0, 0.0], [-4.0, 0.0], [0.0, 5.0]])
    features, labels = {}, {}
    for n in range(num_utterances):
        order = rng.permutation(3)
        lengths = rng.integers(6, 12, size=3)
        labels[f"u{n}"] = np.repeat(order, lengths).astype(np.int32)
        noise = rng.normal(size=(lengths.sum(), 2))
        features[f"u{n}"] = (points[labels[f"u{n}"]] + noise).astype(np.float32)
    return features, labels


def test_densities_are_those_of_scipy():
    mixtures = _mixtures()
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    expected = np.zeros((5, 3))
    for t, s in itertools.product(range(5), range(3)):
        for c in range(2):
            deviation = mixtures.variance_SCD[s, c].sqrt().numpy()
            density = norm.pdf(x[t].numpy(), mixtures.mean_SCD[s, c].numpy(), deviation)
            expected[t, s] += float(mixtures.weight_SC[s, c]) * density.prod()
    np.testing.assert_allclose(mixtures.log_density(x).numpy(), np.log(expected), atol=1e-4)


def test_em_never_lowers_the_likelihood_of_frames_in_their_states():
    rng = np.random.default_rng(0)
    features, labels = _spoken(rng)
    x = torch.from_numpy(np.concatenate(list(features.values())))
    state = torch.from_numpy(np.concatenate(list(labels.values())).astype(np.int64))
    mixtures = first_mixtures([(x, state)], num_states=3).split().split()
    found = []
    for _ in range(8):
        mixtures = mixtures.fitted([(x, state)], floor_D=torch.zeros(2))
        found.append(float(mixtures.log_density(x)[torch.arange(len(x)), state].sum()))
    assert all(b >= a - 1e-2 for a, b in itertools.pairwise(found))
    assert found[-1] > found[0] + 3
    torch.testing.assert_close(mixtures.weight_SC.sum(1), torch.ones(3))


def test_training_recovers_the_points_that_phones_were_spoken_at():
    features, labels = _spoken(np.random.default_rng(0))
    model, curve = HMMTraining(num_components=1, silence=[]).train(features, labels, phones=PHONES)
    means = model.mixtures.mean_SCD[:, 0].numpy()
    np.testing.assert_allclose(means, [[4, 0], [-4, 0], [0, 5]], atol=0.25)
    np.testing.assert_allclose(model.mixtures.variance_SCD.numpy(), 1.0, atol=0.25)
    # runs of 6 to 11 frames: 7.5 of 8.5 frames are followed by one of the same phone
    np.testing.assert_allclose(np.exp(model.log_stay_S), 7.5 / 8.5, atol=0.03)
    assert curve == sorted(curve)


def test_an_utterance_with_fewer_frames_than_states_learns_from_its_labels_as_they_are(caplog):
    features, labels = _spoken(np.random.default_rng(1))
    features["short"] = np.zeros((2, 2), dtype=np.float32)
    labels["short"] = np.array([2, 2], dtype=np.int32)  # silence, of three states
    model, _ = HMMTraining(num_components=1, realign_steps=2).train(features, labels, phones=PHONES)
    assert np.isfinite(model.log_stay_S).all()
    assert "1 of 31 utterances have fewer frames than states" in caplog.text


def test_labels_moved_by_some_frames_are_moved_back():
    features, labels = _spoken(np.random.default_rng(1))
    shifted = {i: np.concatenate([x[:2], x[:-2]]) for i, x in labels.items()}
    transcripts = {i: x[np.r_[True, x[1:] != x[:-1]]] for i, x in labels.items()}
    model, _ = HMMTraining(num_components=1, realign_steps=3).train(
        features, shifted, phones=PHONES
    )
    wrong = 0
    for i, starts in model.align(features, transcripts).items():
        true = np.flatnonzero(np.r_[True, labels[i][1:] != labels[i][:-1]])
        wrong += int(np.abs(starts - true).sum())
    assert wrong <= 3


@pytest.mark.parametrize("seed", range(5))
def test_viterbi_finds_the_best_of_all_paths(seed):
    rng = np.random.default_rng(seed)
    model = PhoneHMM(
        StateMap.of(PHONES, silence=["sil"]),
        _mixtures(seed, states=5),
        np.log(rng.uniform(0.2, 0.9, size=5)).astype(np.float32),
    )
    x = rng.normal(size=(7, 4)).astype(np.float32)
    other = rng.normal(size=(11, 4)).astype(np.float32)
    transcript = np.array([2, 0], dtype=np.int32)
    chain, _ = model.map.chain(transcript)
    assert chain.tolist() == [2, 3, 4, 0]
    log_TS = model.mixtures.log_density(torch.from_numpy(x)).numpy()

    def score(path):
        total = log_TS[0, chain[path[0]]]
        for t, (before, after) in enumerate(itertools.pairwise(path), start=1):
            stay = model.log_stay_S[chain[before]]
            total += stay if after == before else np.log1p(-np.exp(stay))
            total += log_TS[t, chain[after]]
        return total

    paths = [
        path
        for path in itertools.product(range(4), repeat=7)
        if path[0] == 0
        and path[-1] == 3
        and all(b - a in (0, 1) for a, b in itertools.pairwise(path))
    ]
    best = max(paths, key=score)
    found = model.state_paths({"x": x, "o": other}, {"x": transcript, "o": np.array([1, 0, 1])})
    assert found["x"].tolist() == list(best)
    starts = model.align({"x": x}, {"x": transcript})["x"]
    assert starts.tolist() == [0, best.index(3)]


def test_phone_scores_are_those_of_the_best_state():
    model = PhoneHMM(
        StateMap.of(PHONES, silence=["sil"]), _mixtures(0, states=5), np.zeros(5, np.float32)
    )
    x = np.zeros((3, 4), dtype=np.float32)
    log_TS = model.mixtures.log_density(torch.from_numpy(x)).numpy()
    expected = np.stack([log_TS[:, 0], log_TS[:, 1], log_TS[:, 2:].max(1)], 1)
    np.testing.assert_array_equal(model.phone_scores({"x": x})["x"], expected)


def test_saved_and_loaded_it_scores_the_same(tmp_path):
    features, labels = _spoken(np.random.default_rng(2), 5)
    model, _ = HMMTraining(num_components=2).train(features, labels, phones=PHONES)
    again, _ = HMMTraining(num_components=2).train(features, labels, phones=PHONES)
    model.save(tmp_path)
    loaded = PhoneHMM.load(tmp_path)
    for i, scores in model.phone_scores(features).items():
        np.testing.assert_array_equal(loaded.phone_scores(features)[i], scores)
        np.testing.assert_array_equal(again.phone_scores(features)[i], scores)
    with pytest.raises(ValueError, match=r"hmm.safetensors does not exist"):
        PhoneHMM.load(tmp_path / "elsewhere")


def test_a_phone_never_heard_keeps_the_density_of_all_frames(caplog):
    features, labels = _spoken(np.random.default_rng(3), 5)
    with caplog.at_level("WARNING"):
        model, _ = HMMTraining(num_components=2).train(features, labels, phones=[*PHONES, "x"])
    assert "1 of 4 phones have no frame to learn from: x" in caplog.text
    x = np.concatenate(list(features.values()))
    unseen = model.mixtures.mean_SCD[-1].mean(0).numpy()
    np.testing.assert_allclose(unseen, x.mean(0), atol=1e-4)


def test_what_cannot_be_aligned_or_learned_is_named():
    features, labels = _spoken(np.random.default_rng(4), 3)
    model, _ = HMMTraining(num_components=1).train(features, labels, phones=PHONES)
    short = {"u": np.zeros((2, 2), dtype=np.float32)}
    with pytest.raises(ValueError, match=r"'u': a transcript of 3 phones, .* 2 frames"):
        model.align(short, {"u": np.array([0, 1, 0])})
    with pytest.raises(ValueError, match="at least one phone"):
        model.align(short, {"u": np.array([], dtype=np.int32)})
    with pytest.raises(ValueError, match=r"'u': features are not finite"):
        model.phone_scores({"u": np.full((2, 2), np.nan, dtype=np.float32)})
    with pytest.raises(ValueError, match="none of 1 utterances"):
        HMMTraining().train(short, {"u": np.array([], dtype=np.int32)}, phones=PHONES)
    bad = {"u": np.full((2, 2), np.inf, dtype=np.float32)}
    with pytest.raises(ValueError, match=r"'u': features are not finite"):
        HMMTraining().train(bad, {"u": np.zeros(2, dtype=np.int32)}, phones=PHONES)
    with pytest.raises(ValueError, match="power of two"):
        HMMTraining(num_components=3)


def test_frames_that_come_in_blocks_give_the_same_mixtures() -> None:
    rng = np.random.default_rng(0)
    features, labels = _spoken(rng)
    x = torch.from_numpy(np.concatenate(list(features.values())))
    state = torch.from_numpy(np.concatenate(list(labels.values())).astype(np.int64))
    in_blocks = list(zip(x.split(37), state.split(37), strict=True))
    whole, parts = (first_mixtures(b, num_states=3).split() for b in ([(x, state)], in_blocks))
    whole = whole.fitted([(x, state)], floor_D=torch.zeros(2))
    parts = parts.fitted(in_blocks, floor_D=torch.zeros(2))
    torch.testing.assert_close(parts.mean_SCD, whole.mean_SCD)
    torch.testing.assert_close(parts.variance_SCD, whole.variance_SCD)
    assert parts.log_likelihood(in_blocks) == pytest.approx(whole.log_likelihood([(x, state)]))


def test_no_more_than_one_block_of_frames_is_in_memory() -> None:
    blocks: list[weakref.ref[torch.Tensor]] = []

    def frames() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for _ in range(3):
            assert all(block() is None for block in blocks)
            x_TD = torch.randn(30, 2)
            blocks.append(weakref.ref(x_TD))
            given = x_TD, torch.arange(30) % 3
            del x_TD
            yield given
            del given

    mixtures = first_mixtures(frames(), num_states=3)
    mixtures = mixtures.fitted(frames(), floor_D=torch.zeros(2))
    mixtures.log_likelihood(frames())
    assert len(blocks) == 9


def test_paths_of_all_utterances_are_one_array() -> None:
    model = PhoneHMM(StateMap.of(["a", "b", "c"]), _mixtures(), np.full(3, -0.7, np.float32))
    features = {f"u{n}": np.zeros((n, 4), np.float32) for n in (9, 4, 6)}
    paths = model.state_paths(features, {i: np.array([0, 1], np.int32) for i in features})
    assert {i: len(path_T) for i, path_T in paths.items()} == {"u9": 9, "u4": 4, "u6": 6}
    assert paths["u9"].base is not None
    assert len({id(path_T.base) for path_T in paths.values()}) == 1
    assert model.state_paths(features, {}) == {}


def test_a_batch_of_paths_is_bounded_by_frames_and_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hmm, "_CELLS", 1000)
    sizes = {"long": (400, 30), "a": (10, 4), "b": (12, 5), "c": (90, 9)}
    batches = list(_batches(sizes))
    assert batches == [["a", "b"], ["c"], ["long"]]
