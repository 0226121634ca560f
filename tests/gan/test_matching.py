import numpy as np
import pytest
import torch

from gan.matching import (
    SkipBigramMatching,
    place_unigrams,
    similarity_kernel,
    skip_bigrams,
    statistics_distance,
)


def _markov(rng, transitions, num_sequences, length):
    sequences = []
    for _ in range(num_sequences):
        state = rng.integers(len(transitions))
        path = [state]
        for _ in range(length - 1):
            state = rng.choice(len(transitions), p=transitions[state])
            path.append(state)
        sequences.append(np.array(path, dtype=np.int32))
    return sequences


def test_a_pure_cipher_is_solved_without_labels():
    rng = np.random.default_rng(0)
    transitions = rng.dirichlet(np.full(8, 0.3), size=8)
    text = _markov(rng, transitions, 300, 30)
    spoken = _markov(rng, transitions, 300, 30)
    cipher = rng.permutation(8).astype(np.int32)
    far_apart = np.eye(8, dtype=np.float32) * 10
    found = SkipBigramMatching(num_lags=3).match(
        [cipher[s] for s in spoken], far_apart, text, num_phones=8
    )
    np.testing.assert_array_equal(found.table_KV.argmax(axis=1)[cipher], np.arange(8))
    assert found.losses_R[found.chosen] == min(found.losses_R)
    assert len(found.losses_R) == len(found.curves_RI) == 4
    assert len({len(curve) for curve in found.curves_RI}) == 1
    np.testing.assert_allclose(found.table_KV.sum(axis=1), 1.0, rtol=1e-5)


def test_skip_bigrams_count_pairs_at_each_lag_and_sum_to_one():
    found = skip_bigrams([np.array([0, 1, 0, 1], dtype=np.int32)], 2, num_lags=2)
    np.testing.assert_allclose(found[0], [[0, 2 / 3], [1 / 3, 0]], rtol=1e-6)
    np.testing.assert_allclose(found[1], [[0.5, 0], [0, 0.5]], rtol=1e-6)


def test_sequences_shorter_than_the_lags_are_named():
    with pytest.raises(ValueError, match="no sequence is longer than 3 symbols"):
        skip_bigrams([np.array([0, 1, 2], dtype=np.int32)], 3, num_lags=3)


def test_place_unigrams_count_from_both_ends_what_is_long_enough():
    sequences = [np.array([0, 1, 2]), np.array([2]), np.array([0, 1])]
    found = place_unigrams(sequences, 3, num_places=2)
    thirds = [[2, 0, 1], [0, 3, 0], [0, 1, 2], [1.5, 1.5, 0]]
    np.testing.assert_allclose(found, np.array(thirds) / 3, rtol=1e-6)
    with pytest.raises(ValueError, match="place 4 cannot be matched"):
        place_unigrams(sequences, 3, num_places=4)


@pytest.mark.parametrize("seed", range(4))
def test_places_tell_apart_what_pairs_cannot(seed):
    """0 and 1 take turns, each as often before the other: sentences begin and end with 0."""
    text = [np.arange(length, dtype=np.int32) % 2 for length in range(11, 31, 2)] * 5
    cipher = np.array([1, 0], dtype=np.int32)
    points = np.eye(2, dtype=np.float32) * 10
    matcher = SkipBigramMatching(
        num_lags=1, num_places=2, search_place_weight=0.5, place_weight=0.5, seed=seed
    )
    found = matcher.match([cipher[s] for s in text], points, text, num_phones=2)
    np.testing.assert_array_equal(found.table_KV.argmax(axis=1), cipher)


def test_places_are_counted_only_where_they_weigh_something():
    """Sequences of four symbols have pairs at two lags, and no sixth place."""
    text = [np.array([0, 1, 2, 0]), np.array([1, 2, 0, 1]), np.array([2, 0, 1, 2])]
    points = np.eye(3, dtype=np.float32) * 10
    few = {"num_lags": 2, "iterations": 1, "final_iterations": 1}
    SkipBigramMatching(**few).match(text, points, text, num_phones=3)
    with pytest.raises(ValueError, match="place 5 cannot be matched"):
        SkipBigramMatching(**few, place_weight=0.1).match(text, points, text, num_phones=3)


def test_distance_equals_the_obvious_sum():
    generator = torch.Generator().manual_seed(0)
    tables = torch.rand(2, 5, 3, generator=generator)
    speech = torch.rand(4, 5, 5, generator=generator)
    text = torch.rand(4, 3, 3, generator=generator)
    obvious = [
        sum((q.T @ n @ q - t).abs().sum() for n, t in zip(speech, text, strict=True))
        for q in tables
    ]
    torch.testing.assert_close(statistics_distance(tables, speech, text), torch.stack(obvious))


def test_kernel_rows_sum_to_one_and_a_narrow_one_is_the_identity():
    points = torch.tensor([[0.0], [1.0], [3.0]])
    squared = torch.cdist(points, points).square()
    torch.testing.assert_close(similarity_kernel(squared, 1.0).sum(dim=1), torch.ones(3))
    torch.testing.assert_close(similarity_kernel(squared, 0.1), torch.eye(3))


def test_restarts_begin_unalike_and_only_the_best_go_on():
    """Small equal starts all end in one basin; scales and kernels must differ between restarts."""
    rng = np.random.default_rng(1)
    text = _markov(rng, rng.dirichlet(np.full(5, 0.3), size=5), 100, 20)
    points = np.eye(5, dtype=np.float32) * 10
    matcher = SkipBigramMatching(
        num_lags=2,
        restarts=4,
        finalists=4,
        iterations=1,
        final_iterations=1,
        final_cycles=1,
        init_scales=[0.01, 3.0],
        kernel_starts=[0.6, 5.0],
    )
    ticks = []
    found = matcher.match(text, points, text, num_phones=5, progress=lambda: ticks.append(1))
    assert len(ticks) == matcher.num_steps == 2
    first = sorted(curve[0] for curve in found.curves_RI)
    # near-uniform tables of the small scale are alike, those of the large one are not
    assert first[3] - first[0] > 0.1
    fewer = SkipBigramMatching(num_lags=2, restarts=4, finalists=1, iterations=5).match(
        text, points, text, num_phones=5
    )
    assert len(fewer.losses_R) == len(fewer.tables_RKV) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"restarts": 2}, "finalists is 4 of 2 restarts"),
        ({"init_scales": []}, "need at least one value"),
    ],
)
def test_options_that_cannot_be_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        SkipBigramMatching(**options)
