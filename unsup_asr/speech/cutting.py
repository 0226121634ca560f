"""Long silences, cut out of an upstream's frames, or out of the audio before it is heard.

A transformer hears the whole utterance in every frame, so the two differ: wav2vec-U cuts the audio
(Baevski et al. 2021). Axes: N samples, K frames that stay.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from unsup_asr.protocols import Silence, Upstream
from unsup_asr.speech.timing import MIN_FRAMES, frame_samples
from unsup_asr.types import Float32Array, Int32Array

CutFrom: TypeAlias = Literal["frames", "audio"]


def speech_frames(
    samples_N: Float32Array, upstream: Upstream, silence: Silence, *, num_frames: int | None = None
) -> Int32Array | None:
    """Which of an upstream's frames, the first `num_frames`, are no long silence; None for fewer
    than 4.
    """
    kept_K = silence.speech_frames(
        samples_N,
        frame_samples=frame_samples(upstream),
        shift_samples=upstream.frame_shift_samples,
    )
    if num_frames is not None:
        kept_K = kept_K[kept_K < num_frames]
    return kept_K if len(kept_K) >= MIN_FRAMES else None


def cut_audio(samples_N: Float32Array, kept_K: Int32Array, upstream: Upstream) -> Float32Array:
    """The audio of the kept frames: K of them, the k-th from where frame `kept_K[k]` began."""
    shift, window = upstream.frame_shift_samples, frame_samples(upstream)
    starts_K = kept_K.astype(np.int64) * shift
    places = (starts_K[:, None] + np.arange(shift)).ravel()
    tail = np.arange(starts_K[-1] + shift, starts_K[-1] + window)
    return samples_N[np.concatenate([places, tail])]
