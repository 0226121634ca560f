"""rVAD (Tan, Sarkar and Dehak 2020), with which wav2vec-U takes silence out of its audio.

It comes with the package rvadfast: pip install 'unsup-asr[rvad]'. Axes: N samples, T frames.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

from unsup_asr.ranges import PositiveFraction, SampleRate
from unsup_asr.types import Float32Array, Int32Array

_WINDOW_S, _SHIFT_S = 0.025, 0.01  # of its own frames


@dataclass
class RVAD:
    """A frame stays where rVAD hears speech at its centre; all stay where it hears none, as in
    wav2vec-U.

    `threshold` on the energy difference of its second pass, `flatness` below which a frame is
    voiced; both are the published ones.
    """

    threshold: PositiveFraction = 0.4
    flatness: PositiveFraction = 0.5
    sample_rate: SampleRate = 16000
    _detector: Any = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        try:
            package = import_module("rVADfast")
        except ModuleNotFoundError as error:
            raise ValueError(
                "the package 'rvadfast' is not installed, which features.silence asks for: "
                "pip install 'unsup-asr[rvad]'"
            ) from error
        self._detector = package.rVADfast(
            window_duration=_WINDOW_S,
            shift_duration=_SHIFT_S,
            sft_threshold=self.flatness,
            vad_threshold=self.threshold,
        )

    def speech_frames(
        self, samples_N: Float32Array, *, frame_samples: int, shift_samples: int
    ) -> Int32Array:
        """Original index of each frame that stays, increasing, (K,); never empty."""
        with warnings.catch_warnings():  # it takes means of nothing where nothing is voiced
            warnings.simplefilter("ignore", RuntimeWarning)
            labels, _ = self._detector(samples_N.astype(np.float64), self.sample_rate)
        num_frames = 1 + (len(samples_N) - frame_samples) // shift_samples
        centres_s = (np.arange(num_frames) * shift_samples + frame_samples / 2) / self.sample_rate
        places = np.round((centres_s - _WINDOW_S / 2) / _SHIFT_S).astype(np.int64)
        is_speech_T = np.asarray(labels)[np.clip(places, 0, len(labels) - 1)] > 0
        if not is_speech_T.any():
            return np.arange(num_frames, dtype=np.int32)
        return np.flatnonzero(is_speech_T).astype(np.int32)
