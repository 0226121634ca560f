"""Long audio goes through in pieces: bounded memory, and what a whole would give."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import segmentation.silence
import unsup_asr.acoustic.posteriors
import unsup_asr.upstreams.kaldi_features
from segmentation.silence import frame_energy_db
from unsup_asr.acoustic.network import AcousticNetwork, NetworkShape
from unsup_asr.acoustic.posteriors import log_posteriors
from unsup_asr.upstreams.kaldi_features import KaldiFbank, KaldiMFCC

SAMPLES = 0.1 * np.random.default_rng(0).standard_normal(32_000).astype(np.float32)


@pytest.mark.parametrize("size", [1, 7, 50, 197, 198, 199])
@pytest.mark.parametrize("upstream", [KaldiMFCC(), KaldiFbank(frame_shift_ms=12.5)])
def test_features_of_pieces_are_those_of_the_whole(
    upstream: KaldiMFCC | KaldiFbank, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    wave, length = torch.from_numpy(SAMPLES)[None], torch.tensor([len(SAMPLES)])
    whole = upstream.encode(wave, length)
    monkeypatch.setattr(unsup_asr.upstreams.kaldi_features, "_FRAMES_AT_ONCE", size)
    pieces = upstream.encode(wave, length)
    (whole_BTD,), (pieces_BTD,) = whole.layers_BTD, pieces.layers_BTD
    torch.testing.assert_close(pieces_BTD, whole_BTD, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("num_outputs", [5, 11, 60, 61, 62])
@pytest.mark.parametrize("stack", [1, 2, 3])
def test_posteriors_of_pieces_are_those_of_the_whole(
    num_outputs: int, stack: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = AcousticNetwork(NetworkShape(input_dim=4, num_outputs=5, hidden=8, stack=stack))
    rng = np.random.default_rng(0)
    features = {
        f"u{length}": rng.standard_normal((length, 4)).astype(np.float32)
        for length in (3, 100, 122, 123, 3 * 61)
    }
    whole = log_posteriors(network, features)
    monkeypatch.setattr(unsup_asr.acoustic.posteriors, "_OUTPUTS_AT_ONCE", num_outputs)
    pieces = log_posteriors(network, features)
    for utterance_id, rows in whole.items():
        np.testing.assert_allclose(pieces[utterance_id], rows, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [1, 399, 1000, 32_000, 40_000])
def test_energies_are_the_same_bits_whatever_the_pieces(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sums = np.concatenate([[0.0], np.cumsum(np.square(SAMPLES, dtype=np.float64))])
    starts = np.arange(0, len(SAMPLES) - 400 + 1, 160)
    power = (sums[starts + 400] - sums[starts]) / 400
    monkeypatch.setattr(segmentation.silence, "_BLOCK", size)
    found = frame_energy_db(SAMPLES, frame_samples=400, shift_samples=160)
    assert np.array_equal(found, (10 * np.log10(power)).astype(np.float32))
