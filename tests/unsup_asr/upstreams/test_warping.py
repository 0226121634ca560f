"""Frames of one voice, warped to another's, against the recording itself made that voice's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from unsup_asr.formats.warps import Warps
from unsup_asr.speech.audio import resample
from unsup_asr.speech.espeak import Espeak
from unsup_asr.types import Float32Array
from unsup_asr.upstreams.kaldi_features import KaldiFbank, KaldiMFCC
from unsup_asr.upstreams.normalise import add_deltas
from unsup_asr.upstreams.warping import FACTORS, FrameMoments, normalised_warps

RATE = 16000


@pytest.fixture(scope="module")
def voice_N() -> Float32Array:
    return Espeak().speak("we heard the yellow fish sing", voice="en-us", sample_rate=RATE).samples


def frames(upstream: KaldiMFCC | KaldiFbank, samples_N: Float32Array) -> Float32Array:
    heard = upstream.encode(torch.from_numpy(samples_N)[None], torch.tensor([len(samples_N)]))
    return heard.layers_BTD[0][0].numpy()


@pytest.mark.parametrize("upstream", [KaldiMFCC(), KaldiFbank(), KaldiMFCC(low_hz=100.0)])
@pytest.mark.parametrize("factor", [0.85, 1.1, 1.2])
def test_a_warp_makes_the_frames_of_the_recording_at_that_speed(
    upstream: KaldiMFCC | KaldiFbank, factor: float, voice_N: Float32Array
) -> None:
    own_TD = frames(upstream, voice_N)
    other_TD = frames(upstream, resample(voice_N, round(RATE * factor), RATE))
    at = np.minimum((np.arange(len(other_TD)) * factor).round().astype(int), len(own_TD) - 1)

    def distance(guess_TD: Float32Array) -> float:
        """Loudness and what all frames share apart, which normalisation takes out."""
        differences = (guess_TD[at] - guess_TD.mean(0)) - (other_TD - other_TD.mean(0))
        return float(np.abs(differences)[:, 1:].mean())

    warped_TD = (own_TD @ upstream.warp(factor).T).astype(np.float32)
    wrong_TD = (own_TD @ upstream.warp(1 / factor).T).astype(np.float32)
    assert distance(warped_TD) < 0.7 * distance(own_TD)
    assert distance(own_TD) < distance(wrong_TD)


def test_no_warp_changes_nothing_but_what_truncated_cepstra_cannot_say() -> None:
    np.testing.assert_allclose(KaldiFbank().warp(1.0), np.eye(40), atol=1e-9)
    np.testing.assert_allclose(KaldiMFCC().warp(1.0), np.eye(13), atol=1e-5)


def test_deltas_are_warped_as_statics_and_all_has_variance_one_again(
    voice_N: Float32Array,
) -> None:
    upstream = KaldiMFCC()
    static_TD = frames(upstream, voice_N)
    raw_TE = add_deltas(static_TD, (1.0, 1.0, 1.0))
    mean_E, std_E = raw_TE.mean(0), raw_TE.std(0)
    moments = FrameMoments()
    for half in np.array_split((raw_TE - mean_E) / std_E, 2):
        moments.add(half)
    warps = normalised_warps(upstream, std_E.astype(np.float64), moments.mean())
    (map_EE,) = warps.maps_WEE[[-1]]
    found_TE = ((raw_TE - mean_E) / std_E) @ map_EE.T
    other_TE = add_deltas((static_TD @ upstream.warp(FACTORS[-1]).T).astype(np.float32), (1, 1, 1))
    expected_TE = (other_TE - other_TE.mean(0)) / other_TE.std(0)
    np.testing.assert_allclose(found_TE, expected_TE, atol=2e-3)
    np.testing.assert_allclose(found_TE.std(0), 1.0, atol=1e-3)


def test_maps_within_a_factor_reach_it_both_ways_and_always_have_one() -> None:
    warps = Warps(np.float32([0.8, 0.9, 1.0, 1.1, 1.25]), np.zeros((5, 2, 2), np.float32))
    assert warps.within(1.25).factors_W.tolist() == warps.factors_W.tolist()
    assert warps.within(1.12).factors_W.tolist() == pytest.approx([0.9, 1.0, 1.1])
    assert warps.within(1.0).factors_W.tolist() == [1.0]
    assert warps.unchanged == 2
    one_off = Warps(np.float32([0.9, 1.02]), np.zeros((2, 2, 2), np.float32))
    assert one_off.within(1.0).factors_W.tolist() == pytest.approx([1.02])


def test_warps_are_read_as_they_were_written_and_damaged_ones_are_told(tmp_path: Path) -> None:
    maps_WEE = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    Warps(np.float32([0.9, 1.1]), maps_WEE).write(tmp_path)
    np.testing.assert_array_equal(Warps.read(tmp_path).maps_WEE, maps_WEE)
    np.save(tmp_path / "factors.npy", np.float32([0.9, 1.0, 1.1]))
    with pytest.raises(ValueError, match="one finite square map for each positive factor"):
        Warps.read(tmp_path)


def test_moments_of_no_frame_are_refused() -> None:
    with pytest.raises(ValueError, match="0 frames have no moments"):
        FrameMoments().mean()
