"""Reading audio: any format of libsndfile (wav, flac, ogg, mp3, NIST SPHERE ...), any rate."""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile

from unsup_asr.formats.names import shown
from unsup_asr.speech.callbacks import raised_afterwards
from unsup_asr.speech.containers import fault_of
from unsup_asr.types import Float32Array, Seconds, Utterance

log = logging.getLogger(__name__)

# fmt: off
AUDIO_SUFFIXES = frozenset({
    ".wav", ".wave", ".bwf", ".rf64", ".w64", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2",
    ".sph", ".nist", ".aiff", ".aif", ".aifc", ".au", ".snd", ".caf", ".voc", ".avr", ".paf",
    ".pvf", ".sf", ".ircam", ".svx", ".8svx", ".iff", ".wve", ".sds", ".htk",
})
# Audio that libsndfile cannot read.
OTHER_AUDIO_SUFFIXES = frozenset({
    ".m4a", ".m4b", ".mp4", ".aac", ".wma", ".amr", ".awb", ".3gp", ".3ga", ".webm", ".weba",
    ".mka", ".mkv", ".mov", ".avi", ".ape", ".wv", ".tta", ".shn", ".spx", ".ra", ".rm",
    ".ac3", ".dss", ".mpc", ".gsm", ".raw", ".pcm",
})
# fmt: on

# Below, no speech is left; beyond, a header is wrong, and resampling would take forever.
RATES_HZ = (2000, 384000)
_BLOCK = 1 << 18  # samples decoded at once
MAY_EXCEED_S = 0.05  # by which a part may end after its recording: tables are rounded
_CANCELLED = 0.1  # of the power that the mean of unrelated channels has

# Flat within 0.1 dB up to 7/8 of the lower half rate, aliases below -60 dB.
_NUM_ZERO_CROSSINGS = 32
_ROLL_OFF = 0.95
_KAISER_BETA = 7.0


@dataclass(frozen=True)
class AudioFacts:
    """What decoding a file from end to end tells.

    `channel` is the one that is heard, from 1; None for the mean of all.
    """

    duration_s: Seconds
    channel: int | None


def read_audio(
    path: str | Path, *, sample_rate: int = 16000, channel: int | None = None
) -> Float32Array:
    """Samples (N,) in [-1, 1] at `sample_rate`, of one channel, counted from 1, or of their mean.

    Where channels cancel in the mean, the loudest is taken, with a warning. ValueError for a file
    that is missing, unreadable, empty, cut off, or holds NaN.
    """
    path = _existing(path)
    with _opened(path) as file:
        channel = _heard_channel(path, file, channel)
        content = bytearray()  # grows in place: hours are in memory once
        for block in _checked_blocks(path, file, channel):
            content += block.tobytes()
        samples = np.frombuffer(content, dtype=np.float32)
        return resample(samples, file.samplerate, sample_rate)


def read_blocks(
    path: str | Path, *, sample_rate: int = 16000, channel: int | None = None
) -> Iterator[Float32Array]:
    """What `read_audio` returns, block by block: memory does not grow with the hours.

    ValueError as there, for a file that was cut off once its last block has been given.
    """
    path = _existing(path)
    with _opened(path) as file:
        channel = _heard_channel(path, file, channel)
        yield from resampled(_checked_blocks(path, file, channel), file.samplerate, sample_rate)


def read_utterance(utterance: Utterance, *, sample_rate: int) -> Float32Array:
    """What is heard of an utterance, as `read_audio`; of a part no other part is decoded."""
    if utterance.start_s is not None:
        return _read_part(utterance, utterance.start_s, sample_rate)
    return read_audio(utterance.audio, sample_rate=sample_rate, channel=utterance.channel)


def check_audio(path: str | Path, *, channel: int | None = None) -> AudioFacts:
    """Facts of a file that was decoded from end to end; otherwise as `read_audio`."""
    path = _existing(path)
    with _opened(path) as file:
        channel = _heard_channel(path, file, channel)
        num_samples = sum(map(len, _checked_blocks(path, file, channel)))
        return AudioFacts(num_samples / file.samplerate, channel)


def announced_s(path: Path) -> Seconds:
    """How long a file's header says that it is; 0 where it says nothing, or cannot be read."""
    try:
        with path.open("rb") as stream, soundfile.SoundFile(stream.fileno(), closefd=False) as file:
            return file.frames / file.samplerate
    except (soundfile.LibsndfileError, RuntimeError, OSError, ZeroDivisionError):
        return 0.0


def write_flac(path: Path, samples: Float32Array, *, sample_rate: int) -> None:
    """Write mono samples (N,) as 16-bit flac; values beyond [-1, 1] are clipped."""
    encoded = io.BytesIO()  # soundfile syncs each file to disk; thousands of them take a while
    with raised_afterwards():  # soundfile writes through callbacks
        soundfile.write(encoded, samples, sample_rate, format="FLAC", subtype="PCM_16")
    path.write_bytes(encoded.getvalue())


def resample(samples: Float32Array, source_hz: int, target_hz: int) -> Float32Array:
    """The samples (N,) at another rate, ceil(N target / source) of them, by windowed sinc."""
    if source_hz == target_hz:
        return samples
    divisor = math.gcd(source_hz, target_hz)
    up, down = target_hz // divisor, source_hz // divisor
    resampled = scipy.signal.resample_poly(samples, up, down, window=_low_pass(max(up, down)))
    return np.asarray(resampled, dtype=np.float32)


def resampled(
    blocks: Iterable[Float32Array], source_hz: int, target_hz: int
) -> Iterator[Float32Array]:
    """What `resample` makes of all blocks together, block by block."""
    if source_hz == target_hz:
        yield from blocks
        return
    divisor = math.gcd(source_hz, target_hz)
    up, down = target_hz // divisor, source_hz // divisor
    around = down * math.ceil(_NUM_ZERO_CROSSINGS * max(up, down) / (up * down))  # that taps reach
    held, before = np.zeros(0, np.float32), 0  # of the samples held, those resampled already
    for block in blocks:
        held = np.concatenate([held, block])
        ready = (len(held) - before - around) // down * down
        if ready <= 0:
            continue
        found = resample(held[: before + ready + around], source_hz, target_hz)
        yield found[before // down * up : (before + ready) // down * up]
        past = max(0, before + ready - around)
        held, before = held[past:], before + ready - past
    if len(held) > before:
        yield resample(held, source_hz, target_hz)[before // down * up :]


@lru_cache(maxsize=16)
def _low_pass(ratio: int) -> Float32Array:
    """Taps that pass what lies below `_ROLL_OFF` of the lower of two half rates."""
    num_taps = 2 * _NUM_ZERO_CROSSINGS * ratio + 1
    positions = (np.arange(num_taps) - num_taps // 2) * _ROLL_OFF / ratio
    taps = np.sinc(positions) * np.kaiser(num_taps, _KAISER_BETA)
    return (taps / taps.sum()).astype(np.float32)


def _read_part(utterance: Utterance, start_s: Seconds, sample_rate: int) -> Float32Array:
    """Whether channels cancel in their mean was asked when the whole recording was checked."""
    path = _existing(utterance.audio)
    with _opened(path) as file:
        first = round(start_s * file.samplerate)
        count = max(1, round(utterance.duration_s * file.samplerate))
        if first + count > file.frames + MAY_EXCEED_S * file.samplerate:
            raise ValueError(
                f"{shown(path)}: utterance {utterance.id!r} ends at "
                f"{(first + count) / file.samplerate:.3f} s, the recording at "
                f"{file.frames / file.samplerate:.3f} s; was the file exchanged?"
            )
        file.seek(min(first, file.frames))
        samples_NC = file.read(count, dtype="float32", always_2d=True)
        channel = utterance.channel
        if channel is not None and channel > samples_NC.shape[1]:
            raise ValueError(f"{shown(path)}: no channel {channel}, it has {samples_NC.shape[1]}")
        samples = samples_NC.mean(axis=1) if channel is None else samples_NC[:, channel - 1]
        if len(samples) == 0 or not np.isfinite(samples).all():
            raise ValueError(
                f"{shown(path)}: utterance {utterance.id!r} has "
                f"{'no samples' if len(samples) == 0 else 'NaN or infinite samples'}"
            )
        heard = np.ascontiguousarray(samples, dtype=np.float32)
        return resample(heard, file.samplerate, sample_rate)


@contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    """The file, open; whatever libsndfile or the system says of it becomes a ValueError."""
    try:
        if fault := fault_of(path):
            raise ValueError(f"{shown(path)}: {fault}")
        with (
            path.open("rb") as stream,  # its name may be bytes that are no characters
            soundfile.SoundFile(stream.fileno(), closefd=False) as file,
        ):
            yield file
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise ValueError(_unreadable(path, error)) from error
    except OSError as error:
        raise ValueError(f"{shown(path)}: cannot be opened ({error.strerror})") from error


def _heard_channel(path: Path, file: soundfile.SoundFile, channel: int | None) -> int | None:
    """The channel that is to be heard, of a file whose rate is one of recordings."""
    low, high = RATES_HZ
    if not low <= file.samplerate <= high:
        raise ValueError(
            f"{shown(path)}: its header says {file.samplerate} samples a second; expected "
            f"{low} to {high}. Convert the file again"
        )
    if channel is not None and not 1 <= channel <= file.channels:
        raise ValueError(
            f"{shown(path)}: no channel {channel}, it has {file.channels}; expected one from 1"
        )
    if channel is None and file.channels > 1:
        return _loudest_if_mean_cancels(path, file)
    return channel


def _checked_blocks(
    path: Path, file: soundfile.SoundFile, channel: int | None
) -> Iterator[Float32Array]:
    """`_blocks` of numbers, as many as the header announces."""
    num_samples = 0
    for block in _blocks(file, channel):
        if not np.isfinite(block).all():
            raise ValueError(
                f"{shown(path)}: holds NaN or infinite samples; convert the file again"
            )
        num_samples += len(block)
        yield block
    if num_samples == 0:
        raise ValueError(f"{shown(path)}: no samples; remove the file or record it again")
    if num_samples < file.frames and file.format != "MP3":  # whose frames were counted
        raise ValueError(
            f"{shown(path)}: its header announces {file.frames} samples, {num_samples} could be "
            "decoded: the file was cut off or damaged. Copy it again, or leave it out"
        )


def _blocks(file: soundfile.SoundFile, channel: int | None) -> Iterator[Float32Array]:
    """One channel, or the mean, from the beginning of the file to its end."""
    for block in _all_channels(file):
        is_mixed = channel is None and block.shape[1] > 1
        yield block.mean(axis=1) if is_mixed else np.ascontiguousarray(block[:, (channel or 1) - 1])


def _all_channels(file: soundfile.SoundFile) -> Iterator[Float32Array]:
    """Samples (N, channels) in pieces: the length in the header may be anything."""
    if file.tell() > 0:
        file.seek(0)
    while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
        yield np.asarray(block, dtype=np.float32)


def _loudest_if_mean_cancels(path: Path, file: soundfile.SoundFile) -> int | None:
    """The channel to take in place of a mean with little left in it; from 1.

    Unrelated channels of one loudness leave 1 / channels of their power in the mean.
    """
    count, total, squares = 0, 0.0, 0.0
    with np.errstate(invalid="ignore"):  # samples that are no numbers are refused later
        for block in _all_channels(file):
            signals = np.column_stack([block, block.mean(axis=1)]).astype(np.float64)
            count += len(block)
            total = total + signals.sum(axis=0)
            squares = squares + np.square(signals).sum(axis=0)
        power = np.asarray(squares / max(count, 1) - np.square(total / max(count, 1)))
    if count == 0:
        return None
    *of_channels, of_mean = power.tolist()
    expected = float(np.mean(of_channels)) / len(of_channels)
    if not of_mean < _CANCELLED * expected:
        return None
    loudest = 1 + int(np.argmax(of_channels))
    log.warning(
        "%s: its %d channels cancel in their mean; channel %d, the loudest, is taken. Name another "
        "with corpus.channel (transcribe: --channel)",
        shown(path),
        len(of_channels),
        loudest,
    )
    return loudest


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if path.is_symlink() and not path.exists():
        raise ValueError(
            f"{shown(path)}: no such audio file, only a link to {shown(path.readlink())}; mend it"
        )
    if not path.is_file():
        raise ValueError(f"{shown(path)}: no such audio file")
    return path


def _unreadable(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        head = file.read(1024)
    if not head:
        return f"{shown(path)}: the file has 0 bytes; remove it or copy it again"
    if head.startswith(b"NIST_1A") and (b"shorten" in head or b"wavpack" in head):
        return (
            f"{shown(path)}: NIST SPHERE with compressed samples, which libsndfile cannot read; "
            "decompress it first (sph2pipe, or `w_decode -o pcm`)"
        )
    why = str(error).rpartition(": ")[2].rstrip(".")
    return (
        f"{shown(path)}: cannot be read as audio ({why}). Expected an intact file of a format that "
        "libsndfile reads, such as wav, flac, ogg or mp3; copy it again or convert it"
    )
