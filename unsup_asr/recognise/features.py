"""What acoustic networks read of audio outside the corpus, made as stage `features` makes it.

MFCC have their deltas beside them and are normalised by speaker; a layer of an upstream has the
mean and deviation of the training frames taken out, which stage `features` keeps in a file.
"""

from __future__ import annotations

from omegaconf import DictConfig

from unsup_asr.engine.config import instantiate
from unsup_asr.protocols import Upstream
from unsup_asr.types import Float32Array
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
    if statistics is None:
        frames = {i: add_deltas(x, (1.0, 1.0, 1.0)) for i, x in frames.items()}
        statistics = speaker_statistics(frames, dict.fromkeys(frames, "one"))["one"]
    return {i: normalise_speaker(x, statistics) for i, x in frames.items()}
