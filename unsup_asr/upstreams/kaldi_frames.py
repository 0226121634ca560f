"""Log mel filter banks and MFCC of one waveform, by Kaldi's definitions and defaults.

Whole windows only, each without its mean, pre-emphasised by 0.97 and weighted by Kaldi's "povey"
window; powers of the spectrum, mel triangles of even width on Kaldi's scale, 1127 ln(1 + f / 700),
no dither; cepstra with the zeroth first, liftered by 22. Sums are in the order of torchaudio's
`compliance.kaldi`, whose numbers these are, bit for bit where both can be run.
"""

# Axes: N samples, T frames, W samples of a window, F bins of the spectrum, M mel bins, C cepstra.

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

_PRE_EMPHASIS = 0.97
_WINDOW_POWER = 0.85  # of a Hann window: "povey"
_LIFTER = 22.0
_EPSILON = torch.finfo(torch.float32).eps  # below which a power is taken for it


def log_mel(
    wave_N: Tensor,
    *,
    sample_rate: int,
    window: int,
    shift: int,
    num_bins: int,
    low_hz: float,
    high_hz: float,
) -> Tensor:
    """Logarithms of mel energies (T, M); `window` and `shift` in samples, at least one window.

    `high_hz` of 0 or less counts from half of the sample rate.
    """
    windows_TW = wave_N.unfold(0, window, shift)
    windows_TW = windows_TW - windows_TW.mean(dim=1, keepdim=True)
    before_TW = F.pad(windows_TW[None], (1, 0), mode="replicate")[0][:, :-1]
    windows_TW = (windows_TW - _PRE_EMPHASIS * before_TW) * _povey(window).to(wave_N)
    width = 1 << (window - 1).bit_length()
    powers_TF = torch.fft.rfft(F.pad(windows_TW, (0, width - window))).abs().pow(2.0)
    mel_FM = _mel_triangles(num_bins, width, sample_rate, low_hz, high_hz).to(wave_N)
    return torch.mm(powers_TF, mel_FM).clamp_min(_EPSILON).log()


def mfcc(log_mel_TM: Tensor, *, num_ceps: int) -> Tensor:
    """Mel-frequency cepstral coefficients (T, C), the zeroth first."""
    cosines_MC = _cosines(log_mel_TM.shape[1], num_ceps).to(log_mel_TM)
    return log_mel_TM.matmul(cosines_MC) * _lifter(num_ceps).to(log_mel_TM)[None]


def _lifter(num_ceps: int) -> Tensor:
    i_C = torch.arange(num_ceps, dtype=torch.float32)
    return 1.0 + 0.5 * _LIFTER * torch.sin(torch.pi * i_C / _LIFTER)


def mel_warp(
    num_bins: int, factor: float, *, sample_rate: int, low_hz: float, high_hz: float
) -> Tensor:
    """Log mel energies of the sound with all its frequencies times `factor`, from those of the
    sound (M, M), in double precision: between two bins by a straight line, beyond the outermost
    ones theirs.
    """
    low, step = _mel_grid(num_bins, sample_rate, low_hz, high_hz)
    centres_M = low + (1.0 + torch.arange(num_bins, dtype=torch.float64)) * step
    heard_M = 700.0 * (torch.exp(centres_M / 1127.0) - 1.0) / factor
    from_M = (1127.0 * (1.0 + heard_M / 700.0).log() - low) / step - 1.0  # among the bins
    from_M = from_M.clamp(0.0, num_bins - 1.0)
    bins_M = torch.arange(num_bins, dtype=torch.float64)
    return (1.0 - (from_M[:, None] - bins_M).abs()).clamp_min(0.0)


def cepstral_warp(log_mel_warp_MM: Tensor, *, num_ceps: int) -> Tensor:
    """The same of the cepstra of those energies (C, C): cepstra that are left out count as 0."""
    to_MC = _cosines(len(log_mel_warp_MM), num_ceps).double()
    lifter_C = _lifter(num_ceps).double()
    plain_CC = to_MC.T @ log_mel_warp_MM @ to_MC  # the cosines are orthonormal
    return lifter_C[:, None] * plain_CC / lifter_C


@lru_cache
def _povey(window: int) -> Tensor:
    return torch.hann_window(window, periodic=False).pow(_WINDOW_POWER)


@lru_cache
def _mel_triangles(
    num_bins: int, width: int, sample_rate: int, low_hz: float, high_hz: float
) -> Tensor:
    """Weights of each bin of the spectrum in each mel bin (F, M); half of the rate has none."""
    low, step = _mel_grid(num_bins, sample_rate, low_hz, high_hz)
    edges_E1 = low + torch.arange(num_bins + 2, dtype=torch.float32)[:, None] * step
    first_M1, centre_M1, last_M1 = edges_E1[:-2], edges_E1[1:-1], edges_E1[2:]
    hz_F = sample_rate / width * torch.arange(width / 2)
    mel_1F = (1127.0 * (1.0 + hz_F / 700.0).log())[None]
    rising_MF = (mel_1F - first_M1) / (centre_M1 - first_M1)
    falling_MF = (last_M1 - mel_1F) / (last_M1 - centre_M1)
    weights_MF = torch.minimum(rising_MF, falling_MF).clamp_min(0.0)
    return F.pad(weights_MF, (0, 1)).T


def _mel_grid(
    num_bins: int, sample_rate: int, low_hz: float, high_hz: float
) -> tuple[float, float]:
    """Where the first bin begins, and how far its centre is from there, as each from the next."""
    if high_hz <= 0.0:
        high_hz += sample_rate / 2
    low = _mel(low_hz)
    return low, (_mel(high_hz) - low) / (num_bins + 1)


def _mel(hz: float) -> float:
    return 1127.0 * math.log(1.0 + hz / 700.0)


@lru_cache
def _cosines(num_bins: int, num_ceps: int) -> Tensor:
    """The orthonormal cosine transform (M, C); its first column is the mean's, as in Kaldi."""
    place_1M = torch.arange(num_bins, dtype=torch.float32)[None] + 0.5
    order_C1 = torch.arange(num_ceps, dtype=torch.float32)[:, None]
    cosines_CM = torch.cos(math.pi / num_bins * place_1M * order_C1) * math.sqrt(2.0 / num_bins)
    cosines_CM[0] = math.sqrt(1.0 / num_bins)
    return cosines_CM.T
