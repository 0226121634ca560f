"""MFCC and log mel filter banks as Kaldi computes them, behind the upstream contract.

Samples are scaled to 16 bits first, as Kaldi reads them, so that the floor of the logarithm lies
below any recorded silence. No dither: the same audio gives the same features.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from unsup_asr.protocols import UpstreamOutput
from unsup_asr.ranges import NonNegative, Positive, PositiveInt, Real, SampleRate
from unsup_asr.types import Float64Array, Seconds
from unsup_asr.upstreams.kaldi_frames import cepstral_warp, log_mel, mel_warp, mfcc

_ARITHMETIC = 1  # to be raised when the same options give other numbers
_INT16_SCALE = 32768.0
# Five minutes: their windows and spectra take a quarter of a gigabyte.
_FRAMES_AT_ONCE = 30_000


@dataclass(kw_only=True)
class _KaldiFeatures:
    """Framing common to both kinds: whole windows only, the first one from sample 0."""

    sample_rate: SampleRate = 16000
    frame_shift_ms: Positive = 10.0
    frame_length_ms: Positive = 25.0
    low_hz: NonNegative = 20.0
    high_hz: Real = 0.0  # 0: half of the sample rate
    num_mel_bins: PositiveInt = 40
    frame_shift_samples: int = field(init=False)
    num_layers: int = field(init=False, default=1)
    dim: int = field(init=False)

    def __post_init__(self) -> None:
        if not 0 < self.frame_shift_ms <= self.frame_length_ms:
            raise ValueError(
                f"frame_shift_ms is {self.frame_shift_ms} and frame_length_ms "
                f"{self.frame_length_ms}; expected 0 < shift <= length"
            )
        nyquist = self.sample_rate / 2
        highest = self.high_hz if self.high_hz > 0 else nyquist + self.high_hz
        if not self.low_hz < highest <= nyquist:
            raise ValueError(
                f"low_hz is {self.low_hz} and high_hz {self.high_hz} at {self.sample_rate} samples "
                f"a second; expected low_hz < high_hz <= {nyquist:g} (0: that)"
            )
        self.frame_shift_samples = int(self.sample_rate * self.frame_shift_ms / 1000)
        self.dim = self._num_dims()

    @property
    def frame_shift_s(self) -> Seconds:
        """Time from one frame to the next."""
        return self.frame_shift_samples / self.sample_rate

    @property
    def first_centre_s(self) -> Seconds:
        """Time of the middle of the first frame."""
        return self.frame_length_ms / 2000

    def encode(self, waves_BN: Tensor, lengths_B: Tensor) -> UpstreamOutput:
        """One layer of features; each wave is computed at its own length, padding unread."""
        frames = []
        for wave_N, length in zip(waves_BN, lengths_B.tolist(), strict=True):
            if length < self._window:
                raise ValueError(
                    f"a waveform of {length} samples ({length / self.sample_rate:.4f} s) is "
                    f"shorter than one frame of {self.frame_length_ms} ms; remove the utterance"
                )
            frames.append(torch.cat(list(map(self._features, self._pieces(wave_N[:length])))))
        lengths = torch.tensor([len(f) for f in frames], device=waves_BN.device)
        return UpstreamOutput([pad_sequence(frames, batch_first=True)], lengths)

    def fingerprint(self) -> str:
        """Digest of the options, and of how they are computed."""
        identity = {"class": type(self).__name__, "arithmetic": _ARITHMETIC}
        text = json.dumps({**asdict(self), **identity}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _pieces(self, wave_N: Tensor) -> Iterator[Tensor]:
        """The wave, scaled, (N,); of a long one pieces whose frames are its frames in order."""
        num_frames = 1 + (len(wave_N) - self._window) // self.frame_shift_samples
        for first in range(0, num_frames, _FRAMES_AT_ONCE):
            last = min(first + _FRAMES_AT_ONCE, num_frames) - 1
            end = last * self.frame_shift_samples + self._window
            yield wave_N[first * self.frame_shift_samples : end] * _INT16_SCALE

    @property
    def _window(self) -> int:
        return int(self.sample_rate * self.frame_length_ms / 1000)

    def _log_mel(self, wave_N: Tensor) -> Tensor:
        return log_mel(
            wave_N,
            sample_rate=self.sample_rate,
            window=self._window,
            shift=self.frame_shift_samples,
            num_bins=self.num_mel_bins,
            low_hz=self.low_hz,
            high_hz=self.high_hz,
        )

    def _mel_warp(self, factor: float) -> Tensor:
        return mel_warp(
            self.num_mel_bins,
            factor,
            sample_rate=self.sample_rate,
            low_hz=self.low_hz,
            high_hz=self.high_hz,
        )

    def _num_dims(self) -> int:
        raise NotImplementedError

    def _features(self, wave_N: Tensor) -> Tensor:
        raise NotImplementedError


@dataclass(kw_only=True)
class KaldiMFCC(_KaldiFeatures):
    """Mel-frequency cepstral coefficients, the zeroth included (B, T, num_ceps)."""

    num_ceps: PositiveInt = 13
    num_mel_bins: PositiveInt = 23

    def _num_dims(self) -> int:
        if not 0 < self.num_ceps <= self.num_mel_bins:
            raise ValueError(
                f"num_ceps is {self.num_ceps} and num_mel_bins {self.num_mel_bins}; "
                "expected 0 < num_ceps <= num_mel_bins"
            )
        return self.num_ceps

    def warp(self, factor: float) -> Float64Array:
        """Cepstra of the sound with its frequencies times `factor`, from its own (D, D)."""
        return cepstral_warp(self._mel_warp(factor), num_ceps=self.num_ceps).numpy()

    def _features(self, wave_N: Tensor) -> Tensor:
        return mfcc(self._log_mel(wave_N), num_ceps=self.num_ceps)


@dataclass(kw_only=True)
class KaldiFbank(_KaldiFeatures):
    """Logarithms of mel filter bank energies (B, T, num_mel_bins)."""

    num_mel_bins: PositiveInt = 40

    def _num_dims(self) -> int:
        return self.num_mel_bins

    def warp(self, factor: float) -> Float64Array:
        """Energies of the sound with its frequencies times `factor`, from its own (D, D)."""
        return self._mel_warp(factor).numpy()

    def _features(self, wave_N: Tensor) -> Tensor:
        return self._log_mel(wave_N)
