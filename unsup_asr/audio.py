"""Reading audio: any format of libsndfile (wav, flac, ogg, opus, mp3, NIST SPHERE), any rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio.functional

from unsup_asr.types import Float32Array, Seconds

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".sph", ".nist"})

# Sinc half width in zero crossings; torchaudio's 6 leaves audible aliasing.
_FILTER_WIDTH = 16


def read_audio(path: str | Path, *, sample_rate: int = 16000) -> Float32Array:
    """Mono samples (N,) in [-1, 1] at `sample_rate`; channels are averaged.

    ValueError for a file that is missing, unreadable, empty, or holds NaN.
    """
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
    return resample(samples, source_rate, sample_rate)


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


def resample(samples: Float32Array, source_hz: int, target_hz: int) -> Float32Array:
    """The samples (N,) at another rate, by windowed sinc interpolation."""
    if source_hz == target_hz:
        return samples
    resampled = torchaudio.functional.resample(
        torch.from_numpy(samples), source_hz, target_hz, lowpass_filter_width=_FILTER_WIDTH
    )
    return resampled.numpy()


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
