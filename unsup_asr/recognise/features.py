"""What acoustic networks read of audio outside the corpus, made as stage `features` makes it.

MFCC have their deltas beside them and are normalised by speaker; a layer of an upstream has the
mean and deviation of the training frames taken out, which stage `features` keeps in a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from omegaconf import DictConfig

from unsup_asr.engine.config import instantiate
from unsup_asr.protocols import Silence, Upstream
from unsup_asr.speech.cutting import CutFrom, cut_audio, speech_frames
from unsup_asr.speech.timing import shortest_samples
from unsup_asr.types import Float32Array, Int32Array
from unsup_asr.upstreams.featurizer import ChosenLayer
from unsup_asr.upstreams.normalise import (
    SpeakerStatistics,
    add_deltas,
    normalise_speaker,
    speaker_statistics,
)

STATISTICS = "statistics.npy"  # of the training frames, in the payload of stage `features`


def acoustic_upstream(features: DictConfig) -> Upstream:
    """The upstream of a recipe's `features`, with the layer that it reads as the last one."""
    upstream: Upstream = instantiate(features.upstream)
    return ChosenLayer(upstream, features.layer) if "layer" in features else upstream


def of_one_speaker(
    frames: dict[str, Float32Array], statistics: SpeakerStatistics | None
) -> dict[str, Float32Array]:
    """Normalised frames of utterances of one speaker; `statistics` of training, where there are."""
    frames = {i: unnormalised(x, statistics) for i, x in frames.items()}
    if statistics is None:
        statistics = speaker_statistics(frames, dict.fromkeys(frames, "one"))["one"]
    return {i: normalise_speaker(x, statistics) for i, x in frames.items()}


def unnormalised(frames_TD: Float32Array, statistics: SpeakerStatistics | None) -> Float32Array:
    """What is normalised: frames, with deltas where there are no `statistics` of training."""
    return frames_TD if statistics is not None else add_deltas(frames_TD, (1.0, 1.0, 1.0))


def trimmed_features(
    samples_N: Float32Array,
    upstreams: Sequence[Upstream],
    silence: Silence,
    *,
    cut_from: CutFrom = "frames",
) -> tuple[list[Float32Array], Int32Array] | None:
    """Frames (T, D) of each upstream without long silences, and their original indices.

    None for audio of fewer than 4 frames; ValueError where features are not finite.
    """
    if len(samples_N) < shortest_samples(upstreams[0]):
        return None
    before_K = speech_frames(samples_N, upstreams[0], silence) if cut_from == "audio" else None
    if cut_from == "audio":
        if before_K is None:
            return None
        samples_N = cut_audio(samples_N, before_K, upstreams[0])
    wave_1N, length_1 = torch.from_numpy(samples_N)[None], torch.tensor([len(samples_N)])
    frames = [up.encode(wave_1N, length_1).layers_BTD[-1][0].numpy() for up in upstreams]
    for upstream, x_TD in zip(upstreams, frames, strict=True):
        if not np.isfinite(x_TD).all():
            bad = np.count_nonzero(~np.isfinite(x_TD).all(axis=1))
            raise ValueError(
                f"{bad} of {len(x_TD)} frames of {type(upstream).__name__} are NaN or infinite; "
                "look at the audio and at the upstream's options"
            )
    num_frames = min(map(len, frames))
    if before_K is not None:
        num_frames = min(num_frames, len(before_K))
        return [x[:num_frames] for x in frames], before_K[:num_frames]
    kept_T = speech_frames(samples_N, upstreams[0], silence, num_frames=num_frames)
    return None if kept_T is None else ([x[kept_T] for x in frames], kept_T)


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Many small tensors are quicker one a thread than each cut over all threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
