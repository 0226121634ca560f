import numpy as np
import pytest

from segmentation.silence import EnergySilence, frame_energy_db


def test_a_long_silence_keeps_only_its_edges_and_the_map_points_to_original_frames() -> None:
    energy_db = np.array([0.0] * 10 + [-60.0] * 20 + [0.0] * 10, dtype=np.float32)
    kept = EnergySilence(max_run_frames=12, keep_frames=6).kept_frames(energy_db)
    assert kept.tolist() == [*range(13), *range(27, 40)]


def test_a_silence_shorter_than_the_limit_is_left_alone() -> None:
    energy_db = np.array([0.0] * 10 + [-60.0] * 11 + [0.0] * 10, dtype=np.float32)
    assert len(EnergySilence().kept_frames(energy_db)) == 31


def test_the_level_is_relative_to_the_loud_frames_of_the_utterance() -> None:
    energy_db = np.array([-50.0] * 20 + [-89.0] * 12, dtype=np.float32)
    rule = {"min_range_db": 100.0}  # the other rule out of the way
    assert EnergySilence(threshold_db=38, **rule).is_silent(energy_db).sum() == 12
    assert EnergySilence(threshold_db=40, **rule).is_silent(energy_db).sum() == 0


def test_energy_has_as_many_frames_as_kaldi_and_a_full_scale_square_wave_is_0_db() -> None:
    energy_db = frame_energy_db(np.ones(1000, np.float32), frame_samples=400, shift_samples=160)
    assert len(energy_db) == 1 + (1000 - 400) // 160
    exact = frame_energy_db(np.ones(720, np.float32), frame_samples=400, shift_samples=160)
    assert len(exact) == 3
    np.testing.assert_allclose(energy_db, 0.0, atol=1e-5)


def test_digital_silence_has_a_finite_energy() -> None:
    energy_db = frame_energy_db(np.zeros(1000, np.float32), frame_samples=400, shift_samples=160)
    np.testing.assert_allclose(energy_db, -100.0, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep_frames": 13}, "keep_frames is 13"),
        ({"percentile": 101.0}, "percentile 101"),
        ({"floor_percentile": 96.0}, "floor_percentile is 96"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EnergySilence(**options)  # pyright: ignore[reportArgumentType]


def test_bad_energies_and_short_audio_are_refused() -> None:
    with pytest.raises(ValueError, match="2 of 3 energies are NaN or infinite"):
        EnergySilence().kept_frames(np.array([0, np.nan, -np.inf], np.float32))
    with pytest.raises(ValueError, match="one value a frame"):
        EnergySilence().kept_frames(np.zeros(0, np.float32))
    with pytest.raises(ValueError, match="399 samples is shorter than one frame of 400"):
        frame_energy_db(np.zeros(399, np.float32), frame_samples=400, shift_samples=160)


def test_the_noise_of_a_room_is_silence_however_loud_it_is() -> None:
    energy_db = np.array([-20.0] * 30 + [-56.0] * 20 + [-20.0] * 30, dtype=np.float32)
    assert EnergySilence().is_silent(energy_db).sum() == 20  # 36 dB down: not yet 38
    assert EnergySilence(min_range_db=40).is_silent(energy_db).sum() == 0


def test_weak_phones_of_an_utterance_without_a_pause_are_not_noise() -> None:
    energy_db = np.array([-20.0] * 30 + [-50.0] * 20 + [-20.0] * 30, dtype=np.float32)
    assert EnergySilence().is_silent(energy_db).sum() == 0


def test_speech_frames_of_a_recording_leave_its_pause_out() -> None:
    loud = np.ones(4000, np.float32)
    samples = np.concatenate([loud, np.zeros(8000, np.float32), loud])
    kept = EnergySilence(keep_frames=0).speech_frames(samples, frame_samples=400, shift_samples=160)
    assert kept.max() == (16000 - 400) // 160
    assert not set(range(25, 73)) & set(kept.tolist())
    assert len(kept) > 45
