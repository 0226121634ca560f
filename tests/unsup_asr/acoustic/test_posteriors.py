"""Posteriors come block by block: what the whole would give, and no more of it in memory."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping

import numpy as np
import pytest
import torch

from unsup_asr import compute
from unsup_asr.acoustic.network import AcousticNetwork, NetworkShape
from unsup_asr.acoustic.posteriors import log_posteriors, posterior_blocks
from unsup_asr.types import Float32Array

LENGTHS = (9, 40, 3, 40, 25, 70, 1)


@pytest.fixture
def network() -> AcousticNetwork:
    return AcousticNetwork(
        NetworkShape(input_dim=4, num_outputs=5, hidden=8), torch.Generator().manual_seed(0)
    )


@pytest.fixture
def features() -> dict[str, Float32Array]:
    rng = np.random.default_rng(0)
    return {
        f"u{n}": rng.normal(size=(length, 4)).astype(np.float32) for n, length in enumerate(LENGTHS)
    }


def test_blocks_hold_the_utterances_in_their_order_and_say_what_each_alone_says(
    network: AcousticNetwork, features: dict[str, Float32Array]
) -> None:
    blocks = [dict(block) for block in posterior_blocks(network, features, block_frames=60)]
    assert [list(block) for block in blocks] == [["u0", "u1", "u2"], ["u3"], ["u4"], ["u5"], ["u6"]]
    assert list(log_posteriors(network, features)) == list(features)
    for block in blocks:
        for utterance_id, found in block.items():
            alone = log_posteriors(network, {utterance_id: features[utterance_id]})
            assert found.shape == (-(-len(features[utterance_id]) // 2), 5)
            np.testing.assert_allclose(found, alone[utterance_id], atol=1e-5)


def test_only_the_block_that_is_asked_for_is_computed(network: AcousticNetwork) -> None:
    read: list[str] = []

    class Watched(Mapping[str, Float32Array]):
        def __getitem__(self, key: str) -> Float32Array:
            read.append(key)
            return np.zeros((50, 4), np.float32)

        def __iter__(self) -> Iterator[str]:
            return iter([f"u{n}" for n in range(100)])

        def __len__(self) -> int:
            return 100

    blocks = posterior_blocks(network, Watched(), block_frames=100)
    assert list(next(blocks)) == ["u0", "u1"]
    assert set(read) == {"u0", "u1", "u2"}


def test_a_block_is_out_of_memory_when_the_next_is_computed(
    network: AcousticNetwork, features: dict[str, Float32Array]
) -> None:
    before: list[weakref.ref[Float32Array]] = []

    class Watched(dict[str, Float32Array]):
        def __getitem__(self, key: str) -> Float32Array:
            assert all(array() is None for array in before)
            return super().__getitem__(key)

    for block in posterior_blocks(network, Watched(features), block_frames=60):
        before[:] = [weakref.ref(found) for found in block.values()]
    assert before


def test_no_utterances_have_no_posteriors(network: AcousticNetwork) -> None:
    assert log_posteriors(network, {}) == {}


def test_in_bfloat16_the_products_are_rounded_and_the_logarithms_are_not(
    network: AcousticNetwork, features: dict[str, Float32Array]
) -> None:
    exact = log_posteriors(network, features)["u5"]
    with compute.using("cpu", "bfloat16"):
        rounded = log_posteriors(network, features)["u5"]
    assert rounded.dtype == np.float32
    assert 1e-4 < np.abs(rounded - exact).max() < 0.1
    np.testing.assert_allclose(np.exp(rounded).sum(axis=1), 1, atol=1e-5)
