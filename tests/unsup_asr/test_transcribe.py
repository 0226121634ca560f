"""A recording of any length: the same phones from a file and from pieces, silence stays silent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import unsup_asr.transcribe
from segmentation.silence import EnergySilence
from tests.unsup_asr.small_model import babble, save_small_model
from unsup_asr import load_model, load_word_model
from unsup_asr.formats.textgrid import textgrid
from unsup_asr.recognise.long_audio import RecentFrames, SilenceAfterSpeech
from unsup_asr.recognise.stretches import joined
from unsup_asr.transcribe import Model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(save_small_model(tmp_path_factory.mktemp("models") / "model"))


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audio") / "long.wav"
    soundfile.write(path, babble(15), 16000)
    return path


def test_a_long_file_is_heard_in_pieces_as_a_whole_would_be(
    model: Model, long: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (whole,) = model.hear(long)
    monkeypatch.setattr(unsup_asr.transcribe, "LONGEST_S", 3.0)
    stretches = list(model.hear(long))
    assert len(stretches) >= 5
    found = joined(stretches)
    assert (found.start_s, found.end_s) == (0.0, 15.0)
    times = np.array([found.phones.starts_s, found.phones.ends_s])
    assert (times[0] < times[1]).all()
    assert (times[1, :-1] <= times[0, 1:]).all()
    assert found.phones.utterance_id == "long"
    textgrid(found.phones, duration_s=15.0)  # which refuses spans that overlap
    assert len(found.phones.phones) == len(whole.phones.phones) == 75  # 15 s, 5 bursts a second
    np.testing.assert_allclose(times[0], whole.phones.starts_s, atol=0.07)
    assert model.transcribe(long) == found.phones


def test_words_of_a_long_file_are_as_many_as_its_phones(
    long: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unsup_asr.transcribe, "LONGEST_S", 3.0)
    words, phones = load_word_model(save_small_model(tmp_path / "model")).transcribe(long)
    assert set(words.words) == {"a"}
    assert words.starts_s == phones.starts_s  # each phone is a word of this model
    assert words.ends_s[-1] > 12


@pytest.mark.parametrize("size", [1600, 7777, 192_000])
def test_audio_as_it_comes_gives_the_same_in_any_blocks(model: Model, size: int) -> None:
    samples = babble(12)

    def heard(size: int, partial_s: float | None = None) -> list:
        blocks = (samples[i : i + size] for i in range(0, len(samples), size))
        found = model.hear_blocks(blocks, utterance_id="u", longest_s=3.0, partial_s=partial_s)
        return [stretch for stretch in found if stretch.is_final]

    assert heard(size) == heard(16_000)
    assert heard(size, partial_s=1.0) == heard(size), "what is tried early changes nothing"


def test_what_is_tried_early_is_not_remembered(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[SilenceAfterSpeech] = []

    class Kept(SilenceAfterSpeech):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            made.append(self)

    monkeypatch.setattr(unsup_asr.transcribe, "SilenceAfterSpeech", Kept)
    remembered = []
    for partial_s in (None, 1.0):
        made.clear()
        list(
            model.hear_blocks(
                [babble(1, seed=i) for i in range(4)],
                utterance_id="u",
                longest_s=3.0,
                partial_s=partial_s,
            )
        )
        remembered.append(made[0].speech_N)
    assert np.array_equal(*remembered)


def test_a_piece_without_speech_is_silent_once_speech_was_heard() -> None:
    hiss = (1e-3 * np.random.default_rng(0).standard_normal(80_000)).astype(np.float32)
    options = {"frame_samples": 400, "shift_samples": 160}
    detector = EnergySilence()
    assert len(detector.speech_frames(hiss, **options)) > 100, "alone, hiss is loud"
    silence = SilenceAfterSpeech(detector, 16000)
    first = silence.speech_frames(babble(10, pauses=False), **options)
    assert np.array_equal(first, detector.speech_frames(babble(10, pauses=False), **options))
    for _ in range(10):  # however long nobody speaks
        assert len(silence.speech_frames(hiss, **options)) < 10
    again = silence.speech_frames(babble(10, pauses=False, seed=1), **options)
    assert len(again) > 700
    for seed in range(3):
        silence.speech_frames(babble(10, pauses=False, seed=seed), **options)
    assert len(silence.speech_N) == 30 * 16000, "half a minute is remembered"


def test_recent_frames_are_those_of_the_last_minutes() -> None:
    recent = RecentFrames()
    for value in range(10):
        recent.remember(np.full((10_000, 2), value, np.float32))
    assert recent.statistics_with(np.full((10_000, 2), 10, np.float32)).mean_D.tolist() == [8.5] * 2


def test_a_long_file_without_any_speech_is_refused_by_its_name(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unsup_asr.transcribe, "LONGEST_S", 0.05)
    monkeypatch.setattr(unsup_asr.transcribe, "AROUND_S", 0.0)
    soundfile.write(tmp_path / "still.wav", np.zeros(1600), 16000)
    with pytest.raises(ValueError, match=r"still\.wav: 0\.100 s of audio hold no speech"):
        model.transcribe(tmp_path / "still.wav")


def test_a_long_file_that_was_cut_off_is_refused(
    model: Model, long: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unsup_asr.transcribe, "LONGEST_S", 3.0)
    soundfile.write(tmp_path / "cut.flac", babble(15), 16000)
    content = (tmp_path / "cut.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"cut\.flac"):
        list(model.hear(tmp_path / "cut.flac"))
