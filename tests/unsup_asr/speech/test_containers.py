"""Audio that is not all there is refused, whatever holds it; what is whole is read."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from unsup_asr.speech.audio import AUDIO_SUFFIXES, check_audio, read_audio

RATE = 16000
FORMATS = {
    "wav": {"format": "WAV"},
    "wave": {"format": "WAVEX"},
    "rf64": {"format": "RF64"},
    "adpcm.wav": {"format": "WAV", "subtype": "IMA_ADPCM"},
    "w64": {},
    "flac": {},
    "ogg": {},
    "opus": {"format": "OGG", "subtype": "OPUS"},
    "mp3": {},
    "constant.mp3": {"bitrate_mode": "CONSTANT", "compression_level": 0.5},
    "sph": {"format": "NIST"},
    "aiff": {},
    "aif": {"format": "AIFF", "subtype": "FLOAT"},
    "au": {},
    "caf": {},
    "alac.caf": {"format": "CAF", "subtype": "ALAC_16"},
    "voc": {"format": "VOC"},
    "avr": {"format": "AVR"},
    "svx": {"format": "SVX"},
    "sds": {"format": "SDS", "subtype": "PCM_16"},
    "htk": {"format": "HTK"},
}
# Their headers do not say how long they are.
UNANNOUNCED = {"paf": {"format": "PAF"}, "pvf": {"format": "PVF"}, "ircam": {"format": "IRCAM"}}


def recording(path: Path, options: dict, *, seconds: float = 2.0, channels: int = 1) -> Path:
    rng = np.random.default_rng(0)
    shape = (int(seconds * RATE), channels)
    soundfile.write(path, 0.1 * rng.standard_normal(shape), RATE, **options)
    return path


@pytest.mark.parametrize("name", [*FORMATS, *UNANNOUNCED])
def test_every_format_that_libsndfile_knows_is_read_whole(tmp_path: Path, name: str):
    path = recording(tmp_path / f"a.{name}", (FORMATS | UNANNOUNCED)[name])
    assert path.suffix in AUDIO_SUFFIXES
    assert check_audio(path).duration_s == pytest.approx(2.0, abs=0.07)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.97])
@pytest.mark.parametrize("name", FORMATS)
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, name: str, share: float):
    path = recording(tmp_path / f"a.{name}", FORMATS[name])
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"a\.\S+: .*(cut off|cannot be read)"):
        check_audio(path)


@pytest.mark.parametrize("name", ["wav", "flac", "opus", "mp3", "sph", "aiff", "au", "caf", "w64"])
@pytest.mark.parametrize("is_long_first", [True, False])
def test_two_files_joined_are_refused_for_the_second_would_not_be_heard(
    tmp_path: Path, name: str, is_long_first: bool
):
    seconds = (2.0, 0.5) if is_long_first else (0.5, 2.0)
    parts = [
        recording(tmp_path / f"{i}.{name}", FORMATS[name], seconds=s).read_bytes()
        for i, s in enumerate(seconds)
    ]
    path = tmp_path / f"a.{name}"
    path.write_bytes(b"".join(parts))
    with pytest.raises(ValueError, match=rf"a second file begins at byte {len(parts[0])}"):
        read_audio(path)


def without_counting_frame(content: bytes) -> bytes:
    """An mp3 as streams have it: nothing in front says how many frames follow."""
    second = content.index(b"\xff\xf3", 4)
    return content[second:]


def test_an_mp3_that_does_not_say_its_length_is_decoded_to_its_end(tmp_path: Path):
    content = recording(tmp_path / "b.mp3", FORMATS["constant.mp3"]).read_bytes()
    stream = without_counting_frame(content)
    path = tmp_path / "a.mp3"
    path.write_bytes(stream)
    assert check_audio(path).duration_s == pytest.approx(2.0, abs=0.1)
    path.write_bytes(stream + stream)
    assert check_audio(path).duration_s == pytest.approx(4.0, abs=0.2)
    path.write_bytes(stream[: int(0.6 * len(stream))])
    with pytest.raises(ValueError, match=r"announces a frame up to byte .*cut off"):
        check_audio(path)


@pytest.mark.parametrize(("more", "is_whole"), [(-9, False), (0, True), (1, True), (9, False)])
def test_an_mp3_has_the_frames_that_it_announces_the_counting_one_aside(
    tmp_path: Path, more: int, is_whole: bool
):
    content = bytearray(recording(tmp_path / "a.mp3", {}).read_bytes())
    place = content.index(b"Xing") + 8
    number = int.from_bytes(content[place : place + 4], "big") + more
    content[place : place + 4] = number.to_bytes(4, "big")
    (tmp_path / "a.mp3").write_bytes(content)
    said = complaint(tmp_path / "a.mp3")
    assert ("samples" in said) == is_whole, said


def test_an_mp3_between_tags_is_whole(tmp_path: Path):
    content = recording(tmp_path / "b.mp3", {}).read_bytes()
    tag = b"ID3\x04\x00\x00\x00\x00\x01\x00" + bytes(128)
    (tmp_path / "a.mp3").write_bytes(tag + content + b"TAG" + bytes(125))
    assert check_audio(tmp_path / "a.mp3").duration_s == pytest.approx(2.0, abs=0.01)


def with_lengths(content: bytes, *, riff: int, data: int) -> bytes:
    place = content.index(b"data") + 4
    patched = content[:4] + struct.pack("<I", riff) + content[8:]
    return patched[:place] + struct.pack("<I", data) + patched[place + 4 :]


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFF000])
def test_a_wav_out_of_a_pipe_is_read_to_its_end(tmp_path: Path, length: int):
    path = recording(tmp_path / "a.wav", {})
    path.write_bytes(with_lengths(path.read_bytes(), riff=length, data=length))
    assert check_audio(path).duration_s == 2.0


def test_a_wav_whose_header_says_nothing_is_in_it_is_explained(tmp_path: Path):
    path = recording(tmp_path / "a.wav", {})
    path.write_bytes(with_lengths(path.read_bytes(), riff=0, data=0))
    with pytest.raises(ValueError, match=r"says 0 bytes of audio and 64000 bytes follow: .*sox"):
        check_audio(path)


@pytest.mark.parametrize("rate", [0, 1, 100, 1999, 2**31 - 1, 2**32 - 1])
def test_a_rate_that_no_recording_has_is_refused_at_once(tmp_path: Path, rate: int):
    path = recording(tmp_path / "a.wav", {})
    content = path.read_bytes()
    path.write_bytes(content[:24] + struct.pack("<I", rate) + content[28:])
    with pytest.raises(ValueError, match=r"a\.wav: (its header says \d+ samples a|cannot be read)"):
        read_audio(path)


def test_a_flac_that_claims_more_samples_than_memory_holds_is_refused(tmp_path: Path):
    path = recording(tmp_path / "a.flac", {})
    content = bytearray(path.read_bytes())
    content[21] |= 0x0F
    content[22:26] = b"\xff" * 4
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.flac: "):
        read_audio(path)


def complaint(path: Path) -> str:
    try:
        return f"{path}: {len(read_audio(path))} samples"
    except ValueError as error:
        return str(error)


def test_random_bytes_behind_any_header_end_in_an_error_or_in_samples(tmp_path: Path):
    rng = np.random.default_rng(0)
    path = tmp_path / "a.wav"
    for name, options in FORMATS.items():
        content = recording(tmp_path / f"b.{name}", options, seconds=0.2).read_bytes()
        for _ in range(20):
            edited = bytearray(content[: rng.integers(1, len(content) + 1)])
            for place in rng.integers(min(200, len(edited)), size=3):
                edited[place] = rng.integers(256)
            path.write_bytes(edited)
            assert "a.wav: " in complaint(path)
