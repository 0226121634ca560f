import numpy as np
import pytest
import torch
from scipy.fft import dct

from unsup_asr.protocols import Upstream
from unsup_asr.speech.timing import timing_of
from unsup_asr.upstreams.featurizer import select_layer
from unsup_asr.upstreams.kaldi_features import KaldiFbank, KaldiMFCC
from unsup_asr.upstreams.normalise import (
    add_deltas,
    normalise_speaker,
    speaker_statistics,
    weigh_deltas,
)
from unsup_asr.upstreams.registry import by_name as upstream_by_name
from unsup_asr.upstreams.registry import names as upstream_names


def noise(*lengths: int) -> tuple[torch.Tensor, torch.Tensor]:
    waves = torch.randn(len(lengths), max(lengths), generator=torch.Generator().manual_seed(0))
    return 0.1 * waves, torch.tensor(lengths)


@pytest.mark.parametrize("upstream", [KaldiMFCC(), KaldiFbank(num_mel_bins=80)])
def test_a_padded_batch_equals_its_waves_one_by_one(upstream: KaldiMFCC | KaldiFbank):
    waves_BN, lengths_B = noise(16000, 7777, 400)
    batch = upstream.encode(waves_BN, lengths_B)
    assert batch.lengths_B.tolist() == [98, 47, 1]
    assert len(batch.layers_BTD) == upstream.num_layers == 1
    assert batch.layers_BTD[0].shape == (3, 98, upstream.dim)
    for i, (length, frames) in enumerate(zip(lengths_B, batch.lengths_B, strict=True)):
        alone = upstream.encode(waves_BN[i : i + 1, :length], length[None])
        torch.testing.assert_close(
            batch.layers_BTD[0][i, :frames], alone.layers_BTD[0][0], rtol=0, atol=0
        )


def test_features_repeat_without_dither():
    waves_BN, lengths_B = noise(16000)
    first, second = (KaldiMFCC().encode(waves_BN, lengths_B).layers_BTD[0] for _ in range(2))
    assert torch.equal(first, second)


def test_mfcc_are_cosine_transforms_of_the_log_filter_bank():
    waves_BN, lengths_B = noise(8000)
    fbank = KaldiFbank(num_mel_bins=23).encode(waves_BN, lengths_B).layers_BTD[0][0].numpy()
    mfcc = KaldiMFCC().encode(waves_BN, lengths_B).layers_BTD[0][0].numpy()
    lifter = 1 + 11 * np.sin(np.pi * np.arange(13) / 22)
    expected = dct(fbank, norm="ortho")[:, :13] * lifter
    np.testing.assert_allclose(mfcc, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize(("shift_ms", "length_ms"), [(10, 25), (20, 32)])
@pytest.mark.parametrize("num_bins", [23, 80])
def test_filter_banks_and_cepstra_are_those_of_torchaudio(
    rate: int, shift_ms: int, length_ms: int, num_bins: int
):
    """By a reading of Kaldi that is not ours; on the CPU that this was written on, bit for bit."""
    kaldi = pytest.importorskip("torchaudio.compliance.kaldi")
    waves_BN, lengths_B = noise(2 * rate)
    options = {"sample_rate": rate, "frame_shift_ms": shift_ms, "frame_length_ms": length_ms}
    theirs = {
        **{"sample_frequency": rate, "frame_shift": shift_ms, "frame_length": length_ms},
        **{"num_mel_bins": num_bins, "low_freq": 60.0, "high_freq": -100.0, "dither": 0.0},
    }
    limits = {"low_hz": 60.0, "high_hz": -100.0, "num_mel_bins": num_bins}
    fbank = KaldiFbank(**options, **limits).encode(waves_BN, lengths_B).layers_BTD[0][0]
    mfcc = KaldiMFCC(**options, **limits).encode(waves_BN, lengths_B).layers_BTD[0][0]
    scaled_1N = waves_BN * 32768
    torch.testing.assert_close(fbank, kaldi.fbank(scaled_1N, **theirs), rtol=0, atol=1e-4)
    torch.testing.assert_close(mfcc, kaldi.mfcc(scaled_1N, **theirs), rtol=0, atol=1e-3)


def test_digital_silence_has_the_lowest_energy_and_no_infinity():
    silent = KaldiFbank().encode(torch.zeros(1, 1600), torch.tensor([1600])).layers_BTD[0]
    assert torch.equal(silent, torch.full_like(silent, np.log(np.finfo(np.float32).eps)))


def test_a_click_is_loudest_in_the_frame_whose_centre_is_nearest():
    wave_N = torch.zeros(16000)
    click_s = 0.5025
    wave_N[round(click_s * 16000)] = 1.0
    frames_TD = KaldiFbank().encode(wave_N[None], torch.tensor([16000])).layers_BTD[0][0]
    timing = timing_of(KaldiFbank())
    loudest = int(frames_TD.sum(1).argmax())
    assert timing.first_centre_s + loudest * timing.shift_s == pytest.approx(click_s)


def test_the_upstreams_keep_the_contract():
    for name in ("kaldi_mfcc", "kaldi_fbank"):
        assert isinstance(upstream_by_name(name)(), Upstream)


def test_the_fingerprint_follows_class_and_options():
    prints = [KaldiMFCC(), KaldiMFCC(num_ceps=12), KaldiMFCC(low_hz=60), KaldiFbank()]
    assert len({upstream.fingerprint() for upstream in prints}) == 4
    assert KaldiMFCC().fingerprint() == KaldiMFCC().fingerprint()


def test_audio_shorter_than_a_frame_is_refused():
    with pytest.raises(ValueError, match=r"399 samples .* shorter than one frame of 25"):
        KaldiMFCC().encode(*noise(399))


def test_impossible_options_are_refused():
    with pytest.raises(ValueError, match="num_ceps is 30 and num_mel_bins 23"):
        KaldiMFCC(num_ceps=30)
    with pytest.raises(ValueError, match="frame_shift_ms is 30"):
        KaldiFbank(frame_shift_ms=30)
    with pytest.raises(ValueError, match=r"high_hz 9000\.0 at 16000 samples a second"):
        KaldiFbank(high_hz=9000.0)
    with pytest.raises(ValueError, match=r"low_hz is 7950\.0 and high_hz -100\.0"):
        KaldiFbank(low_hz=7950.0, high_hz=-100.0)


def test_an_unknown_upstream_is_answered_with_the_installed_ones():
    with pytest.raises(ValueError, match=r"no upstream named 'hubert\?'.*kaldi_fbank, kaldi_mfcc"):
        upstream_by_name("hubert?")
    assert {"kaldi_fbank", "kaldi_mfcc"} <= set(upstream_names())


def test_layers_are_selected_or_summed():
    layers = [torch.full((1, 2, 3), float(i)) for i in range(3)]
    assert select_layer(layers, -1) is layers[2]
    with pytest.raises(ValueError, match="layer is 3; the upstream has 3 layers"):
        select_layer(layers, 3)


def random_features(num_frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(3.0, 5.0, (num_frames, 4)).astype(np.float32)


def test_deltas_are_slopes_times_their_weights():
    ramp_TD = (2.0 * np.arange(20, dtype=np.float32))[:, None]
    deltas_TE = add_deltas(ramp_TD, (1.0, 0.5, 0.25))
    assert deltas_TE.shape == (20, 3)
    np.testing.assert_array_equal(deltas_TE[:, :1], ramp_TD)
    np.testing.assert_allclose(deltas_TE[2:-2, 1], 1.0, atol=1e-6)
    np.testing.assert_allclose(deltas_TE[4:-4, 2], 0.0, atol=1e-6)
    with pytest.raises(ValueError, match="0 frames"):
        add_deltas(ramp_TD[:0])


def test_weighing_unit_deltas_is_the_same_as_adding_weighted_ones():
    features_TD = random_features(30)
    np.testing.assert_allclose(
        weigh_deltas(add_deltas(features_TD, (1, 1, 1))), add_deltas(features_TD), rtol=1e-6
    )
    with pytest.raises(ValueError, match="4 dimensions do not divide into 3"):
        weigh_deltas(features_TD)


def test_speaker_statistics_are_those_of_all_the_speakers_frames():
    features = {"a": random_features(50), "b": random_features(150, 1), "c": random_features(9, 2)}
    statistics = speaker_statistics(features, {"a": "x", "b": "x", "c": "y"})
    together_TD = np.concatenate([features["a"], features["b"]])
    np.testing.assert_allclose(statistics["x"].mean_D, together_TD.mean(0), rtol=1e-5)
    np.testing.assert_allclose(statistics["x"].std_D, together_TD.std(0), rtol=1e-5)
    normal = [normalise_speaker(features[key], statistics["x"]) for key in ("a", "b")]
    np.testing.assert_allclose(np.concatenate(normal).std(0), 1, atol=1e-4)


def test_an_utterance_without_a_speaker_is_named():
    with pytest.raises(ValueError, match=r"1 of 2 utterances have no speaker \(first: 'b'\)"):
        speaker_statistics({"a": random_features(5), "b": random_features(5)}, {"a": "x"})
