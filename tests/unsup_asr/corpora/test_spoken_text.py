import numpy as np
import pytest

from unsup_asr.corpora.spoken_text import SpokenText

SENTENCES = ["good morning to you", "the cat is on the table", "where do we go now"]


def spoken(**options):
    voices = SpokenText(num_voices=3, sentences_a_voice=4, **options).speak(SENTENCES)
    return [said for voice in voices for said in voice]


def test_every_voice_says_its_number_of_sentences() -> None:
    voices = list(SpokenText(num_voices=3, sentences_a_voice=4).speak(SENTENCES))
    assert [len(voice) for voice in voices] == [4, 4, 4]
    assert {said.sentence for voice in voices for said in voice} == {0, 1, 2}


def test_the_same_seed_gives_the_same_samples_and_another_seed_others() -> None:
    first, again, other = spoken(), spoken(), spoken(seed=1)
    for a, b in zip(first, again, strict=True):
        assert a.sentence == b.sentence
        np.testing.assert_array_equal(a.samples_N, b.samples_N)
    assert any(len(a.samples_N) != len(c.samples_N) for a, c in zip(first, other, strict=True))


def test_a_warp_moves_the_spectrum_up() -> None:
    """Half the time at twice the frequencies: the centroid of the spectrum doubles or so."""
    clean = {"min_snr_db": 80.0, "max_snr_db": 80.0, "max_silence_s": 0.0}
    low = spoken(min_warp=0.75, max_warp=0.75, **clean)
    high = spoken(min_warp=1.5, max_warp=1.5, **clean)
    assert np.mean([centroid(s) for s in high]) > 1.4 * np.mean([centroid(s) for s in low])
    lengths = [sum(len(s.samples_N) for s in said) for said in (low, high)]
    assert lengths[0] / lengths[1] == pytest.approx(2.0, rel=0.02)


def centroid(said) -> float:
    power = np.abs(np.fft.rfft(said.samples_N)) ** 2
    return float(np.sum(power * np.fft.rfftfreq(len(said.samples_N))) / np.sum(power))


@pytest.mark.parametrize("warp", [0.75, 1.5])
def test_phones_begin_when_they_are_heard_behind_the_silence_and_warped(warp) -> None:
    """Samples before the first phone are silent; the last one begins before the sound ends."""
    for said in spoken(min_warp=warp, max_warp=warp, min_snr_db=80.0, max_snr_db=80.0):
        assert len(said.phones) == len(said.starts_s)
        assert np.all(np.diff(said.starts_s) >= 0)
        loud = np.flatnonzero(np.abs(said.samples_N) > 0.05 * np.abs(said.samples_N).max()) / 16000
        assert said.starts_s[0] == pytest.approx(loud[0], abs=0.06)
        assert loud[-1] - 0.7 < said.starts_s[-1] < loud[-1]


def test_noise_lies_at_the_ratio_asked_for() -> None:
    quiet, loud = (spoken(min_snr_db=db, max_snr_db=db, max_silence_s=0.0) for db in (60.0, 0.0))
    power = [np.mean(np.concatenate([s.samples_N for s in said]) ** 2) for said in (quiet, loud)]
    assert power[1] / power[0] == pytest.approx(2.0, rel=0.1)  # as much noise as speech


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variants": ["nobody"]}, "'nobody'"),
        ({"variants": []}, "0 variants"),
        ({"num_voices": 0}, "0 voices"),
        ({"min_rate_wpm": 200}, "min_rate_wpm is 200"),
        ({"max_warp": 3.0}, "max_warp 3.0"),
    ],
)
def test_impossible_options_are_refused(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        SpokenText(**options)
