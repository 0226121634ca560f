"""Boundaries where the spectrum changes fast: the training-free segmenters.

`SpectralPeaks` reads one set of features; `MultiScalePeaks` adds several views of log-mel frames.
Both learn only their scales and a threshold, the latter from an expected rate of segments.
Axes: T frames, D dims, E = T + 1 edges.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.fft import dct

from segmentation.checks import check_rows
from segmentation.curves import (
    peak_strength,
    peaks,
    spectral_change,
    threshold_for_rate,
    with_ends,
)
from segmentation.saved import read_arrays, write_arrays
from unsup_asr.protocols import UtteranceFrames
from unsup_asr.ranges import NonNegativeInt, Positive, PositiveInt
from unsup_asr.types import Float32Array, FrameTiming, Int32Array

_MAX_FIT_FRAMES = 1_000_000  # scales and threshold do not change with more audio


@dataclass
class PeakPicking:
    """Peaks of a change curve, as many as an expected rate of segments asks for.

    The threshold is one number for all utterances, so that fast speakers get more segments.
    `segments_per_second` None: whoever fits the segmenter sets it first, from the text's phones a
    sentence and the seconds of an utterance (`segmentation.segments_per_phone`).
    """

    segments_per_second: Positive | None = None
    radius_frames: PositiveInt = 2
    by: str = "height"  # or "prominence"

    def __post_init__(self) -> None:
        if self.by not in ("height", "prominence"):
            raise ValueError(f"peaks: by is {self.by!r}; expected 'height' or 'prominence'")
        if self.segments_per_second is not None and not 0 < self.segments_per_second < np.inf:
            raise ValueError(
                f"peaks: segments_per_second is {self.segments_per_second}; expected more than 0"
            )
        if self.radius_frames < 1:
            raise ValueError(f"peaks: radius_frames is {self.radius_frames}; expected at least 1")

    def threshold_of(
        self,
        features: UtteranceFrames,
        timing: FrameTiming,
        curve: Callable[[Float32Array], Float32Array],
    ) -> float:
        """The strength that leaves the expected number of segments in `features`."""
        frames_per_boundary = self._frames_per_boundary(timing)
        strengths, num_frames = [], 0
        for frames_TD in fit_utterances(features):
            change_E = curve(frames_TD)
            strengths.append(self._candidates(change_E)[1])
            num_frames += len(frames_TD)
        return threshold_for_rate(
            strengths, num_frames=num_frames, frames_per_boundary=frames_per_boundary
        )

    def pick(self, change_E: Float32Array, threshold: float) -> Int32Array:
        """Boundaries of one utterance, from 0 to T."""
        edges, strengths = self._candidates(change_E)
        return with_ends(edges[strengths >= threshold], len(change_E) - 1)

    def _frames_per_boundary(self, timing: FrameTiming) -> float:
        rate = self.segments_per_second
        if rate is None:
            raise ValueError(
                "peaks: no rate of segments; set segmentation.segments_per_phone, or "
                "segmentation.segmenter.segments_per_second where that is null"
            )
        if not rate * timing.shift_s < 1:
            raise ValueError(
                f"peaks: {rate:g} segments/s at one frame every {timing.shift_s} s; expected fewer "
                "than one a frame"
            )
        return 1.0 / (rate * timing.shift_s)

    def _candidates(self, change_E: Float32Array) -> tuple[np.ndarray, np.ndarray]:
        edges = peaks(change_E, radius_frames=self.radius_frames)
        return edges, peak_strength(change_E, edges, by=self.by)


@dataclass
class SpectralPeaks(PeakPicking):
    """Peaks of the distance between the mean frames left and right of each edge.

    `num_static_dims` (0: all) leaves out deltas, which blur the change.
    """

    window_frames: PositiveInt = 3
    num_static_dims: NonNegativeInt = 13
    threshold: float | None = field(init=False, repr=False, default=None)

    def fit(self, features: UtteranceFrames, timing: FrameTiming) -> None:
        """Set the threshold from the expected rate of segments."""
        self.threshold = self.threshold_of(features, timing, self.curve)

    def curve(self, features_TD: Float32Array) -> Float32Array:
        """Change at each edge, (E,)."""
        check_rows(features_TD, what="spectral peaks")
        static_TD = features_TD[:, : self.num_static_dims or None]
        return spectral_change(static_TD, window_frames=self.window_frames)

    def boundaries(self, features_TD: Float32Array) -> Int32Array:
        """Strictly increasing frame indices from 0 to T."""
        return self.pick(self.curve(features_TD), _fitted(self.threshold, "SpectralPeaks"))

    def save(self, folder: Path) -> None:
        """Write the threshold."""
        threshold = _fitted(self.threshold, "SpectralPeaks")
        write_arrays(folder, "spectral_peaks", {"threshold": np.array(threshold)})

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote."""
        self.threshold = float(read_arrays(folder, "spectral_peaks", ("threshold",))["threshold"])


@dataclass
class MultiScalePeaks(PeakPicking):
    """Peaks of the sum of spectral changes over several windows, of mel bins and of cepstra.

    Reads normalised log-mel frames (D mel bins). The cepstra are the first `num_cepstra`
    coefficients of their cosine transform, each scaled to unit variance; every change curve is
    scaled to unit deviation before the sum. Short windows of mel bins place a boundary, longer
    windows of cepstra say whether there is one.
    """

    mel_windows: list[PositiveInt] = field(default_factory=lambda: [1, 2])
    cepstral_windows: list[PositiveInt] = field(default_factory=lambda: [2, 3])
    num_cepstra: PositiveInt = 13
    cepstral_scale: Float32Array | None = field(init=False, repr=False, default=None)
    curve_scale: Float32Array | None = field(init=False, repr=False, default=None)
    threshold: float | None = field(init=False, repr=False, default=None)

    def fit(self, features: UtteranceFrames, timing: FrameTiming) -> None:
        """Learn the scales of cepstra and curves, then the threshold."""
        if not self.mel_windows and not self.cepstral_windows:
            raise ValueError("multi-scale peaks: no windows; give mel_windows or cepstral_windows")
        utterances = fit_utterances(features)
        cepstra = np.concatenate([self._raw_cepstra(frames_TD) for frames_TD in utterances])
        self.cepstral_scale = (1.0 / np.maximum(cepstra.std(axis=0), 1e-8)).astype(np.float32)
        curves = np.concatenate([self._curves(frames_TD) for frames_TD in utterances], axis=1)
        self.curve_scale = (1.0 / np.maximum(curves.std(axis=1), 1e-8)).astype(np.float32)
        self.threshold = self.threshold_of(features, timing, self.curve)

    def curve(self, features_TD: Float32Array) -> Float32Array:
        """Summed change at each edge, (E,)."""
        if self.curve_scale is None:
            raise ValueError("MultiScalePeaks is not fitted yet: call fit or load first")
        check_rows(features_TD, what="multi-scale peaks")
        return self.curve_scale @ self._curves(features_TD)

    def boundaries(self, features_TD: Float32Array) -> Int32Array:
        """Strictly increasing frame indices from 0 to T."""
        threshold = _fitted(self.threshold, "MultiScalePeaks")
        return self.pick(self.curve(features_TD), threshold)

    def save(self, folder: Path) -> None:
        """Write scales and threshold."""
        threshold = _fitted(self.threshold, "MultiScalePeaks")
        assert self.cepstral_scale is not None
        assert self.curve_scale is not None
        arrays = {
            "threshold": np.array(threshold),
            "cepstral_scale": self.cepstral_scale,
            "curve_scale": self.curve_scale,
        }
        write_arrays(folder, "multi_scale_peaks", arrays)

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote."""
        names = ("threshold", "cepstral_scale", "curve_scale")
        arrays = read_arrays(folder, "multi_scale_peaks", names)
        self.threshold = float(arrays["threshold"])
        self.cepstral_scale, self.curve_scale = arrays["cepstral_scale"], arrays["curve_scale"]

    def _raw_cepstra(self, mel_TD: Float32Array) -> Float32Array:
        if mel_TD.shape[1] < self.num_cepstra:
            raise ValueError(
                f"multi-scale peaks: {mel_TD.shape[1]} dims for {self.num_cepstra} cepstra; "
                "expected log-mel frames with at least as many bins"
            )
        return dct(mel_TD, norm="ortho", axis=1)[:, : self.num_cepstra]  # pyright: ignore

    def _curves(self, mel_TD: Float32Array) -> Float32Array:
        assert self.cepstral_scale is not None
        cepstra_TC = self._raw_cepstra(mel_TD) * self.cepstral_scale
        curves = [spectral_change(mel_TD, window_frames=w) for w in self.mel_windows]
        curves += [spectral_change(cepstra_TC, window_frames=w) for w in self.cepstral_windows]
        return np.stack(curves)


def fit_utterances(features: UtteranceFrames) -> list[Float32Array]:
    """Utterances to estimate scales and thresholds on: spread evenly, about 3 hours at most."""
    if len(features) == 0:
        raise ValueError("segmenter: 0 utterances to fit on; expected at least 1")
    stride = max(1, round(len(features.values_array) / _MAX_FIT_FRAMES))
    utterances = [np.asarray(features[i], dtype=np.float32) for i in features.ids[::stride]]
    for utterance_id, frames_TD in zip(features.ids[::stride], utterances, strict=True):
        check_rows(frames_TD, what=f"segmenter input {utterance_id!r}")
    return utterances


def _fitted(threshold: float | None, name: str) -> float:
    if threshold is None:
        raise ValueError(f"{name} is not fitted yet: call fit or load first")
    return threshold
