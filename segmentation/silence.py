"""Long silences, cut: which frames to keep, as a map back to the original times.

Axes: N samples, T frames, K kept frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unsup_asr.ranges import NonNegative, NonNegativeInt, Percentile
from unsup_asr.types import BoolArray, Float32Array, Int32Array, Int64Array

_BLOCK = 1 << 20  # samples
_FLOOR = 1e-10  # power of a digital silence: -100 dB below full scale


def frame_energy_db(
    samples_N: Float32Array, *, frame_samples: int, shift_samples: int
) -> Float32Array:
    """Mean power of each whole frame in dB (0 dB: power 1); frame t starts at t * shift_samples.

    As many frames as Kaldi with snip_edges: 1 + (N - frame_samples) // shift_samples.
    """
    if len(samples_N) < frame_samples:
        raise ValueError(
            f"audio of {len(samples_N)} samples is shorter than one frame of {frame_samples}; "
            "drop the utterance"
        )
    starts = np.arange(0, len(samples_N) - frame_samples + 1, shift_samples)
    before, after = (_energy_before(samples_N, at) for at in (starts, starts + frame_samples))
    power_T = (after - before) / frame_samples
    return (10.0 * np.log10(np.maximum(power_T, _FLOOR))).astype(np.float32)


def _energy_before(samples_N: Float32Array, places: Int64Array) -> NDArray[np.float64]:
    """Sum of squares of all samples before each place, places in order."""
    found, total = np.empty(len(places)), 0.0
    for first in range(0, len(samples_N), _BLOCK):  # hours in double precision take gigabytes
        squares = np.square(samples_N[first : first + _BLOCK], dtype=np.float64)
        energy = np.cumsum(np.concatenate([[total], squares]))
        here = slice(*np.searchsorted(places, [first, first + len(energy)]))
        found[here] = energy[places[here] - first]
        total = energy[-1]
    return found


@dataclass(frozen=True)
class EnergySilence:
    """Silence is what lies `threshold_db` below the loud frames of the same utterance, or within
    `floor_margin_db` of its quiet ones: a room's noise is silence too, however loud it is.

    The second rule needs quiet frames `min_range_db` below the loud ones: an utterance without a
    pause has none, only weak phones. Stops are silent too, so only runs of at least
    `max_run_frames` are cut, and `keep_frames` of each stay: half at its start, half at its end,
    which leaves both transitions untouched.
    """

    percentile: Percentile = 95.0  # of the utterance's energies: the level of loud frames
    threshold_db: NonNegative = 38.0
    floor_percentile: Percentile = 10.0  # the level of quiet frames
    floor_margin_db: NonNegative = 14.0
    min_range_db: NonNegative = 34.0
    max_run_frames: NonNegativeInt = 12
    keep_frames: NonNegativeInt = 6

    def __post_init__(self) -> None:
        if not 0 <= self.keep_frames <= self.max_run_frames:
            raise ValueError(
                f"silence: keep_frames is {self.keep_frames}; expected 0 to max_run_frames "
                f"({self.max_run_frames})"
            )
        if not 0 <= self.floor_percentile < self.percentile <= 100:
            raise ValueError(
                f"silence: floor_percentile is {self.floor_percentile} and percentile "
                f"{self.percentile}; expected 0 <= floor_percentile < percentile <= 100"
            )

    def is_silent(self, energy_db_T: Float32Array) -> BoolArray:
        """True where a frame is silent, (T,)."""
        if energy_db_T.ndim != 1 or len(energy_db_T) == 0:
            raise ValueError(
                f"energies have shape {energy_db_T.shape}; expected one value a frame, "
                "at least one frame"
            )
        if not np.isfinite(energy_db_T).all():
            raise ValueError(
                f"{np.count_nonzero(~np.isfinite(energy_db_T))} of {len(energy_db_T)} energies "
                "are NaN or infinite; check the audio, or floor the energy before its logarithm"
            )
        loud, quiet = np.percentile(energy_db_T, [self.percentile, self.floor_percentile])
        level = loud - self.threshold_db
        if quiet <= loud - self.min_range_db:
            level = max(level, quiet + self.floor_margin_db)
        return energy_db_T < level

    def speech_frames(
        self, samples_N: Float32Array, *, frame_samples: int, shift_samples: int
    ) -> Int32Array:
        """`kept_frames` of a recording, (K,)."""
        return self.kept_frames(
            frame_energy_db(samples_N, frame_samples=frame_samples, shift_samples=shift_samples)
        )

    def kept_frames(self, energy_db_T: Float32Array) -> Int32Array:
        """Original index of each frame that stays, increasing, (K,); never empty."""
        is_silent_T = self.is_silent(energy_db_T)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], is_silent_T, [False]]).astype(int)))
        keep_T = np.ones(len(energy_db_T), dtype=bool)
        for start, end in edges.reshape(-1, 2):
            if end - start >= self.max_run_frames:
                head = (self.keep_frames + 1) // 2
                keep_T[start + head : end - (self.keep_frames - head)] = False
        return np.flatnonzero(keep_T).astype(np.int32)
