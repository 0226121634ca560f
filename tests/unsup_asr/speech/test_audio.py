import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

import unsup_asr.speech.audio
from unsup_asr.speech.audio import check_audio, read_audio, read_blocks, resample, write_flac


def tone(hz: float, *, seconds: float = 1.0, rate: int = 16000) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def peak_hz(samples: np.ndarray, rate: int = 16000) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("wav", {}),
        ("flac", {}),
        ("mp3", {}),
        ("ogg", {}),
        ("opus", {"format": "OGG", "subtype": "OPUS"}),
        ("sph", {"format": "NIST"}),
    ],
)
@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_every_format_and_rate_gives_the_tone_that_was_written(
    tmp_path: Path, suffix: str, options: dict[str, str], rate: int
):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, tone(1000, rate=rate), rate, **options)
    samples = read_audio(path)
    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(16000, abs=200)  # lossy coders pad
    assert peak_hz(samples) == pytest.approx(1000, abs=3)
    assert np.sqrt(2) * samples[4000:12000].std() == pytest.approx(0.5, abs=0.02)
    assert check_audio(path).duration_s == pytest.approx(1.0, abs=0.02)


def stereo(path: Path, *channels: np.ndarray) -> Path:
    soundfile.write(path, np.stack(channels, 1), 16000, subtype="FLOAT")
    return path


@pytest.mark.parametrize("suffix", ["wav", "flac", "opus", "mp3"])
def test_where_channels_cancel_the_loudest_is_taken_with_a_warning(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
):
    path = tmp_path / f"a.{suffix}"
    options = {"format": "OGG", "subtype": "OPUS"} if suffix == "opus" else {}
    soundfile.write(path, np.stack([-0.9 * tone(440), tone(440)], 1), 16000, **options)
    samples = read_audio(path)
    assert np.sqrt(2) * samples[4000:12000].std() == pytest.approx(0.5, abs=0.02)
    assert f"a.{suffix}: its 2 channels cancel in their mean; channel 2, the loudest" in caplog.text
    assert check_audio(path).channel == 2


@pytest.mark.parametrize(
    "channels",
    [
        (tone(500), tone(2000)),
        (tone(500), 0 * tone(500)),
        (tone(500), tone(500), tone(800), 0.1 * tone(900)),
        (0 * tone(500), 0 * tone(500)),
    ],
)
def test_channels_that_do_not_cancel_are_averaged(
    tmp_path: Path, channels: tuple[np.ndarray, ...], caplog: pytest.LogCaptureFixture
):
    path = stereo(tmp_path / "a.wav", *channels)
    np.testing.assert_allclose(read_audio(path), np.mean(channels, axis=0), atol=1e-6)
    assert check_audio(path).channel is None
    assert caplog.text == ""


def test_one_channel_can_be_heard_and_one_that_is_not_there_is_refused(tmp_path: Path):
    path = stereo(tmp_path / "a.wav", tone(500), -tone(500))
    np.testing.assert_allclose(read_audio(path, channel=1), tone(500), atol=1e-6)
    np.testing.assert_allclose(read_audio(path, channel=2), -tone(500), atol=1e-6)
    for channel in (0, 3, -1):
        with pytest.raises(ValueError, match=rf"a\.wav: no channel {channel}, it has 2"):
            read_audio(path, channel=channel)


@pytest.mark.parametrize("rate", [22050, 44100, 48000])
def test_resampling_passes_what_lies_below_the_new_half_rate_and_stops_the_rest(rate: int):
    for hz in (200, 3000, 7000):
        kept = resample(tone(hz, rate=rate), rate, 16000)
        assert kept.dtype == np.float32
        np.testing.assert_allclose(kept[500:-500], tone(hz)[500:-500], atol=0.006)
    for hz in (8200, 9500, 10500):
        assert np.abs(resample(tone(hz, rate=rate), rate, 16000)[500:-500]).max() < 0.001
    raised = resample(tone(3000, rate=8000), 8000, 16000)
    np.testing.assert_allclose(raised[500:-500], tone(3000)[500:-500], atol=0.006)


def test_flac_comes_back_within_a_16_bit_step(tmp_path: Path):
    write_flac(tmp_path / "a.flac", tone(300), sample_rate=16000)
    np.testing.assert_allclose(read_audio(tmp_path / "a.flac"), tone(300), atol=1.01 / 32768)


def bad(path: Path, kind: str) -> Path:
    if kind == "corrupt":
        path.write_bytes(b"RIFF" + bytes(range(200)))
    elif kind == "0 bytes":
        path.touch()
    elif kind == "no samples":
        soundfile.write(path, np.zeros(0, np.float32), 16000)
    elif kind == "shorten":
        header = b"NIST_1A\n   1024\nsample_rate -i 16000\nchannel_count -i 1\n"
        header += b"sample_count -i 9\nsample_n_bytes -i 2\nsample_byte_format -s2 01\n"
        header += b"sample_coding -s26 pcm,embedded-shorten-v2.00\nend_head\n"
        path.write_bytes(header.ljust(1024) + b"ajkg\x02" + bytes(100))
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "no such audio file"),
        ("corrupt", "cannot be read as audio"),
        ("0 bytes", "has 0 bytes"),
        ("no samples", "no samples"),
        ("shorten", "compressed samples"),
    ],
)
def test_bad_audio_is_refused_by_name(tmp_path: Path, kind: str, message: str):
    path = bad(tmp_path / "a.wav", kind)
    for read in (read_audio, check_audio):
        with pytest.raises(ValueError, match=rf"a\.wav: .*{message}"):
            read(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_that_are_no_numbers_are_refused(tmp_path: Path, value: float, channels: int):
    samples = np.zeros((9, channels))
    samples[4] = value
    soundfile.write(tmp_path / "a.wav", samples, 16000, subtype="FLOAT")
    with pytest.raises(ValueError, match=r"a\.wav: holds NaN"):
        read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize(("suffix", "rate"), [("flac", 44100), ("wav", 8000), ("mp3", 48000)])
@pytest.mark.parametrize("block", [50, 4096, 1 << 18])
def test_blocks_are_the_samples_of_the_whole(
    tmp_path: Path, suffix: str, rate: int, block: int, monkeypatch: pytest.MonkeyPatch
):
    noise = np.random.default_rng(0).normal(0, 0.1, rate // 2 + 17).astype(np.float32)
    soundfile.write(tmp_path / f"a.{suffix}", np.stack([noise, 0.5 * noise], 1), rate)
    whole = read_audio(tmp_path / f"a.{suffix}")
    monkeypatch.setattr(unsup_asr.speech.audio, "_BLOCK", block)
    found = np.concatenate(list(read_blocks(tmp_path / f"a.{suffix}")))
    np.testing.assert_allclose(found, whole, atol=1e-6)
    assert len(found) == len(whole)


def test_blocks_of_what_is_damaged_end_in_an_error(tmp_path: Path):
    with pytest.raises(ValueError, match="no such audio file"):
        list(read_blocks(tmp_path / "none.wav"))
    samples = np.zeros(8000, np.float32)
    samples[7000] = np.nan
    soundfile.write(tmp_path / "nan.wav", samples, 16000, subtype="FLOAT")
    with pytest.raises(ValueError, match=r"nan\.wav: holds NaN"):
        list(read_blocks(tmp_path / "nan.wav"))
    with pytest.raises(ValueError, match="no channel 2"):
        list(read_blocks(tmp_path / "nan.wav", channel=2))


def test_an_interrupt_while_flac_is_encoded_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(io.BytesIO):
        def tell(self) -> int:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("unsup_asr.speech.audio.io.BytesIO", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_flac(tmp_path / "a.flac", tone(300), sample_rate=16000)
    assert not (tmp_path / "a.flac").exists()
    write_flac(tmp_path / "a.flac", tone(300), sample_rate=16000)
    assert len(read_audio(tmp_path / "a.flac")) == len(tone(300))
