"""Speakers who differ in nothing but the length of the vocal tract, made alike again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unsup_asr.formats.warps import Warps
from unsup_asr.speech.audio import resample
from unsup_asr.speech.espeak import Espeak
from unsup_asr.types import Float32Array
from unsup_asr.upstreams.kaldi_features import KaldiMFCC
from unsup_asr.upstreams.normalise import add_deltas, normalise_speaker, speaker_statistics
from unsup_asr.upstreams.vocal_tract import VocalTractNormalisation, speaker_samples
from unsup_asr.upstreams.warping import FrameMoments, normalised_warps

RATE = 16000
SENTENCES = (
    "we heard the yellow fish sing about a boat",
    "nobody knows how far that road goes on",
    "three good dogs took the long way home",
)
VOICES = {"low": 0.9, "middle": 1.0, "high": 1.12}  # factors of one voice's frequencies
OPTIONS = VocalTractNormalisation(num_components=16, seed=1)


@pytest.fixture(scope="module")
def voices() -> tuple[dict[str, Float32Array], Warps]:
    """Normalised frames by speaker, and the warps of these features."""
    raw: dict[str, Float32Array] = {}
    for sentence in SENTENCES:
        said = Espeak().speak(sentence, voice="en-us", sample_rate=RATE).samples
        for who, factor in VOICES.items():
            heard = torch.from_numpy(resample(said, round(RATE * factor), RATE))
            output = KaldiMFCC().encode(heard[None], torch.tensor([len(heard)]))
            frames = add_deltas(output.layers_BTD[0][0].numpy(), (1.0, 1.0, 1.0))
            raw[who] = np.concatenate([raw[who], frames]) if who in raw else frames
    statistics = speaker_statistics(raw, {who: who for who in raw})
    normal = {who: normalise_speaker(x, statistics[who]) for who, x in raw.items()}
    moments = FrameMoments()
    for x_TE in normal.values():
        moments.add(x_TE)
    std_E = np.sqrt(np.mean([np.square(x.std_D) for x in statistics.values()], axis=0))
    return normal, normalised_warps(KaldiMFCC(), std_E, moments.mean())


def test_each_speaker_gets_the_factor_that_takes_the_others_back(
    voices: tuple[dict[str, Float32Array], Warps],
) -> None:
    frames, warps = voices
    found = OPTIONS.fit(frames, warps)
    factors = {who: float(found.warps.factors_W[w]) for who, w in found.chosen.items()}
    for who, factor in VOICES.items():
        assert factors[who] / factors["middle"] == pytest.approx(1 / factor, abs=0.045)
    assert np.log(list(factors.values())).mean() == pytest.approx(0.0, abs=0.03)
    assert OPTIONS.fit(frames, warps).chosen == found.chosen


def test_a_speaker_who_was_not_there_is_judged_by_those_who_were(
    voices: tuple[dict[str, Float32Array], Warps],
) -> None:
    frames, warps = voices
    found = OPTIONS.fit({"middle": frames["middle"]}, warps)
    assert found.chosen == {"middle": found.warps.unchanged}
    for who, factor in VOICES.items():
        heard = found.warps.factors_W[found.likeliest(frames[who])]
        assert heard == pytest.approx(1 / factor, abs=0.045)


def test_factors_stay_within_the_greatest(
    voices: tuple[dict[str, Float32Array], Warps],
) -> None:
    frames, warps = voices
    found = VocalTractNormalisation(num_components=16, max_factor=1.05).fit(frames, warps)
    assert found.warps.factors_W.min() >= 1 / 1.051
    assert found.warps.factors_W.max() <= 1.051
    assert set(found.chosen.values()) <= set(range(len(found.warps.factors_W)))


def test_a_mixture_of_few_frames_has_few_components(
    voices: tuple[dict[str, Float32Array], Warps],
) -> None:
    frames, warps = voices
    num_frames = sum(map(len, frames.values()))
    assert OPTIONS.fit(frames, warps).mixture.n_components == num_frames // 200 < 16
    few = {who: x_TE[:5] for who, x_TE in frames.items()}
    assert OPTIONS.fit(few, warps).mixture.n_components == 1


def test_samples_are_even_and_of_all_utterances_of_a_speaker() -> None:
    features = {f"u{n}": np.full((50, 1), n, np.float32) for n in range(5)}
    speakers = {"u0": "a", "u1": "a", "u2": "b", "u3": "a", "u4": "a"}
    samples = speaker_samples(features, speakers, 40)
    assert {who: len(x) for who, x in samples.items()} == {"a": 40, "b": 25}
    assert set(samples["a"].ravel().tolist()) == {0, 1, 3, 4}
