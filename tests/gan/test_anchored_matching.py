"""Matching from what a network heard: better than what it heard, and never far from it."""

from __future__ import annotations

import numpy as np
import pytest

from gan.anchored_matching import AnchoredMatching

NUM_PHONES, NUM_CLUSTERS = 6, 12
CIPHER = np.arange(NUM_CLUSTERS) % NUM_PHONES  # the phone of each cluster


def _sentences(seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    transitions = np.random.default_rng(7).dirichlet(np.full(NUM_PHONES, 0.3), size=NUM_PHONES)
    sentences = []
    for _ in range(200):
        path = [int(rng.integers(NUM_PHONES))]
        for _ in range(29):
            path.append(int(rng.choice(NUM_PHONES, p=transitions[path[-1]])))
        sentences.append(np.array(path, dtype=np.int32))
    return sentences


def _spoken(seed: int) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Text, clusters of other sentences, and evidence that takes phone 0 for phone 1."""
    rng = np.random.default_rng(seed)
    clusters, evidence = [], []
    for phones in _sentences(seed + 1):
        clusters.append(phones + NUM_PHONES * rng.integers(2, size=len(phones)).astype(np.int32))
        confused = np.where(phones == 0, 1, phones)
        heard = rng.random((len(phones), NUM_PHONES)) * 0.6
        heard[np.arange(len(phones)), confused] += 0.5
        heard[np.arange(len(phones)), phones] += 0.1
        evidence.append(heard.astype(np.float32))
    return _sentences(seed), clusters, evidence


def _match(matching: AnchoredMatching, seed: int = 0):
    text, clusters, evidence = _spoken(seed)
    return matching.match(
        clusters, evidence, text, num_clusters=NUM_CLUSTERS, num_phones=NUM_PHONES
    )


def test_the_text_corrects_a_phone_that_the_network_takes_for_another() -> None:
    heard = _match(AnchoredMatching(num_lags=3, iterations=1, learning_rate=1e-6))
    assert (heard.table_KV.argmax(axis=1) != CIPHER).sum() == 2  # both clusters of phone 0
    found = _match(AnchoredMatching(num_lags=3))
    np.testing.assert_array_equal(found.table_KV.argmax(axis=1), CIPHER)
    np.testing.assert_allclose(found.table_KV.sum(axis=1), 1.0, rtol=1e-5)
    assert found.losses_R[0] < heard.losses_R[0]


def test_a_strong_anchor_holds_the_table() -> None:
    heard = _match(AnchoredMatching(num_lags=3, iterations=1, learning_rate=1e-6)).table_KV
    moved = [
        np.abs(_match(AnchoredMatching(num_lags=3, anchor=anchor)).table_KV - heard).max()
        for anchor in (0.0, 1e3)
    ]
    assert moved[1] < 0.05 < moved[0]


def test_a_table_has_the_frequencies_of_the_text() -> None:
    _, clusters, evidence = _spoken(0)
    frequency_V = np.array([0.5, 0.1, 0.1, 0.1, 0.1, 0.1])
    table_KV = AnchoredMatching().table(clusters, evidence, frequency_V, num_clusters=NUM_CLUSTERS)
    even_KV = AnchoredMatching().table(
        clusters, evidence, np.full(NUM_PHONES, 1 / NUM_PHONES), num_clusters=NUM_CLUSTERS
    )
    assert (table_KV[:, 0] > even_KV[:, 0]).all()
    np.testing.assert_allclose(table_KV.sum(axis=1), 1.0, rtol=1e-5)


def test_a_cluster_that_was_never_heard_has_a_row() -> None:
    text, clusters, evidence = _spoken(0)
    found = AnchoredMatching(num_lags=3, iterations=5).match(
        clusters, evidence, text, num_clusters=NUM_CLUSTERS + 1, num_phones=NUM_PHONES
    )
    assert np.isfinite(found.table_KV).all()
    assert found.table_KV.shape == (NUM_CLUSTERS + 1, NUM_PHONES)


def test_evidence_of_other_segments_is_refused() -> None:
    text, clusters, evidence = _spoken(0)
    with pytest.raises(ValueError, match="6000 segments have clusters and 5999 have evidence"):
        AnchoredMatching().match(
            clusters,
            [evidence[0][1:], *evidence[1:]],
            text,
            num_clusters=NUM_CLUSTERS,
            num_phones=NUM_PHONES,
        )
