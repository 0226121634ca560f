"""Reading audio: any format of libsndfile (wav, flac, ogg, opus, mp3, NIST SPHERE), any rate."""

from __future__ import annotations

import io
import math
from functools import lru_cache
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile

from unsup_asr.types import Float32Array, Seconds

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".sph", ".nist"})

# Flat within 0.1 dB up to 7/8 of the lower half rate, aliases below -60 dB.
_NUM_ZERO_CROSSINGS = 32
_ROLL_OFF = 0.95
_KAISER_BETA = 7.0


def read_audio(path: str | Path, *, sample_rate: int = 16000) -> Float32Array:
    """Mono samples (N,) in [-1, 1] at `sample_rate`; channels are averaged.

    ValueError for a file that is missing, unreadable, empty, or holds NaN.
    """
    samples, source_rate = _decoded(path)
    return resample(samples, source_rate, sample_rate)


def check_audio(path: str | Path) -> Seconds:
    """Length of a file that was decoded from end to end, > 0; ValueError as for `read_audio`."""
    samples, source_rate = _decoded(path)
    return len(samples) / source_rate


def duration_s(path: str | Path) -> Seconds:
    """Length by the file's header, > 0; ValueError as for `read_audio`."""
    path = _existing(path)
    try:
        info = soundfile.info(path)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise ValueError(_unreadable(path, error)) from error
    if info.frames <= 0:
        raise ValueError(f"{path}: no samples; remove the file or record it again")
    return info.frames / info.samplerate


def write_flac(path: Path, samples: Float32Array, *, sample_rate: int) -> None:
    """Write mono samples (N,) as 16-bit flac; values beyond [-1, 1] are clipped."""
    encoded = io.BytesIO()  # soundfile syncs each file to disk; thousands of them take a while
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


@lru_cache(maxsize=16)
def _low_pass(ratio: int) -> Float32Array:
    """Taps that pass what lies below `_ROLL_OFF` of the lower of two half rates."""
    num_taps = 2 * _NUM_ZERO_CROSSINGS * ratio + 1
    positions = (np.arange(num_taps) - num_taps // 2) * _ROLL_OFF / ratio
    taps = np.sinc(positions) * np.kaiser(num_taps, _KAISER_BETA)
    return (taps / taps.sum()).astype(np.float32)


def _decoded(path: str | Path) -> tuple[Float32Array, int]:
    """Mono samples (N,) at the file's own rate, and that rate."""
    path = _existing(path)
    try:
        channels, source_rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise ValueError(_unreadable(path, error)) from error
    samples = channels.mean(axis=1, dtype=np.float32)
    if len(samples) == 0:
        raise ValueError(f"{path}: no samples; remove the file or record it again")
    if not np.isfinite(samples).all():
        raise ValueError(f"{path}: holds NaN or infinite samples; convert the file again")
    return samples, source_rate


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such audio file")
    return path


def _unreadable(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        head = file.read(1024)
    if not head:
        return f"{path}: the file has 0 bytes; remove it or copy it again"
    if head.startswith(b"NIST_1A") and (b"shorten" in head or b"wavpack" in head):
        return (
            f"{path}: NIST SPHERE with compressed samples, which libsndfile cannot read; "
            "decompress it first (sph2pipe, or `w_decode -o pcm`)"
        )
    return (
        f"{path}: cannot be read as audio ({error}). Expected an intact "
        f"{', '.join(sorted(AUDIO_SUFFIXES))}"
    )
