"""Features on one scale: mean and variance by utterance or by speaker, and weighted deltas.

Order matters: normalise the statics with their deltas at weight 1, then weigh the deltas down
(`add_deltas`, `normalise_*`, `weigh_deltas`); or normalise statics and add weighted deltas.
Down-weighted deltas cluster better than deltas of unit variance.
"""

# Axes: T frames, D dims, E dims with deltas.

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from unsup_asr.formats.checked import read_array
from unsup_asr.types import Float32Array

# A dimension that never changes is only centred.
_MIN_STD = 1e-5


@dataclass(frozen=True)
class SpeakerStatistics:
    """Mean and standard deviation of each dimension over all frames of one speaker."""

    mean_D: NDArray[np.float64]
    std_D: NDArray[np.float64]


def add_deltas(
    static_TD: Float32Array, weights: Sequence[float] = (1.0, 0.5, 0.25)
) -> Float32Array:
    """Statics, deltas, deltas of deltas... side by side, each times its weight: (T, D * orders).

    Deltas are regressions over 5 frames; edges repeat the first and last frame.
    """
    if len(static_TD) == 0:
        raise ValueError("features of 0 frames have no deltas; remove the utterance")
    order_DT = torch.from_numpy(np.array(static_TD, dtype=np.float32).T)
    blocks = []
    for i, weight in enumerate(weights):
        if i > 0:
            order_DT = _slopes(order_DT)
        blocks.append(order_DT * weight)
    return np.ascontiguousarray(torch.cat(blocks).numpy().T)


def _slopes(order_DT: Tensor) -> Tensor:
    """Least-squares slope a frame over the two frames on both sides; edges repeat."""
    reach = torch.arange(-2.0, 3.0)
    padded_DT = F.pad(order_DT[None], (2, 2), mode="replicate")
    kernels = reach.repeat(len(order_DT), 1, 1)
    return F.conv1d(padded_DT, kernels, groups=len(order_DT))[0] / reach.square().sum()


def weigh_deltas(
    features_TE: Float32Array, weights: Sequence[float] = (1.0, 0.5, 0.25)
) -> Float32Array:
    """Equal blocks of dimensions, one a weight, each times its weight."""
    num_dims = features_TE.shape[1]
    if num_dims % len(weights):
        raise ValueError(
            f"features of {num_dims} dimensions do not divide into {len(weights)} equal blocks"
        )
    scale_E = np.repeat(np.asarray(weights, dtype=np.float32), num_dims // len(weights))
    return features_TE * scale_E


def speaker_statistics(
    features: Mapping[str, Float32Array], speakers: Mapping[str, str]
) -> dict[str, SpeakerStatistics]:
    """Statistics by speaker. `features` and `speakers` are keyed by utterance id."""
    missing = [utterance_id for utterance_id in features if utterance_id not in speakers]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(features)} utterances have no speaker (first: "
            f"{missing[0]!r}); features and manifest must be of the same corpus"
        )
    utterances: dict[str, list[str]] = {}
    for utterance_id in features:
        utterances.setdefault(speakers[utterance_id], []).append(utterance_id)
    return {
        speaker: _statistics([features[utterance_id] for utterance_id in ids])
        for speaker, ids in utterances.items()
    }


def streamed_statistics(arrays_TD: Iterable[NDArray[np.floating]]) -> SpeakerStatistics:
    """Over all frames of a stream of utterances, which is read once, in double precision."""
    num_frames, shift_D, total_D, squares_D = 0, None, 0.0, 0.0
    for array_TD in arrays_TD:
        wide_TD = array_TD.astype(np.float64)
        if shift_D is None:  # near the mean, so that squares are small
            shift_D = wide_TD.mean(axis=0)
        wide_TD -= shift_D
        num_frames += len(wide_TD)
        total_D += wide_TD.sum(axis=0)
        squares_D += np.square(wide_TD).sum(axis=0)
    if shift_D is None or num_frames == 0:
        raise ValueError("statistics over 0 frames are undefined; remove empty utterances")
    mean_D = total_D / num_frames
    std_D = np.sqrt(np.maximum(squares_D / num_frames - np.square(mean_D), 0.0))
    return SpeakerStatistics(shift_D + mean_D, np.where(std_D < _MIN_STD, 1.0, std_D))


def write_statistics(path: Path, statistics: SpeakerStatistics) -> None:
    """Write means and deviations as one array (2, D)."""
    np.save(path, np.stack([statistics.mean_D, statistics.std_D]), allow_pickle=False)


def read_statistics(path: Path) -> SpeakerStatistics:
    """What `write_statistics` wrote."""
    found_2D = read_array(path)
    if found_2D.ndim != 2 or len(found_2D) != 2 or not np.isfinite(found_2D).all():
        raise ValueError(
            f"{path}: shape {found_2D.shape}; expected finite means and deviations, (2, dim)"
        )
    return SpeakerStatistics(found_2D[0], found_2D[1])


def normalise_speaker(
    features_TD: NDArray[np.floating], statistics: SpeakerStatistics
) -> Float32Array:
    """The features with the speaker's mean taken off, over the speaker's deviation."""
    return ((features_TD - statistics.mean_D) / statistics.std_D).astype(np.float32)


def _statistics(arrays_TD: Sequence[Float32Array]) -> SpeakerStatistics:
    """In two passes and double precision, one utterance at a time."""
    num_frames = sum(len(array) for array in arrays_TD)
    if num_frames == 0:
        raise ValueError("statistics over 0 frames are undefined; remove empty utterances")
    totals_D = [array.sum(axis=0, dtype=np.float64) for array in arrays_TD]
    mean_D = np.sum(totals_D, axis=0) / num_frames
    squares_D = [np.square(array - mean_D).sum(axis=0) for array in arrays_TD]
    std_D = np.sqrt(np.sum(squares_D, axis=0) / num_frames)
    return SpeakerStatistics(mean_D, np.where(std_D < _MIN_STD, 1.0, std_D))
