"""What acoustic models hear of a corpus: stage `features`' frames, or the recordings themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from unsup_asr.acoustic.finetuning import Finetuning
from unsup_asr.acoustic.network import AcousticNetwork
from unsup_asr.acoustic.training import NetworkTraining
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.checked import read_json
from unsup_asr.formats.manifest import read_manifest
from unsup_asr.formats.warps import Warps
from unsup_asr.recognise.acoustic_models import EveryFrame, audible
from unsup_asr.speech.waveforms import Waveforms
from unsup_asr.steps.computed import Computed
from unsup_asr.steps.features import VOCAL_TRACTS, WARPS, of_speaker
from unsup_asr.steps.inputs import frame_timing, open_split
from unsup_asr.types import Float32Array, FrameTiming, Int32Array, Utterance
from unsup_asr.upstreams.ctc_network import CTCNetwork


@dataclass(frozen=True)
class Heard:
    """Inputs of a network by utterance, and when its frames are, in those of the recording."""

    inputs: Mapping[str, Float32Array]
    kept: Mapping[str, Int32Array]
    timing: FrameTiming


def heard(context: StageContext, network: AcousticNetwork | CTCNetwork, split: str) -> Heard:
    """Of a split; a fine-tuned network hears the recordings, long silences included."""
    if isinstance(network, AcousticNetwork):
        return Heard(
            open_split(context, "features", "acoustic", split),
            open_split(context, "features", "kept", split),
            frame_timing(context),
        )
    waveforms = audible(_utterances(context, split), network)
    return Heard(waveforms, EveryFrame(waveforms, network), network.timing)


def training_inputs(
    context: StageContext, training: NetworkTraining | Finetuning, split: str
) -> Mapping[str, Float32Array]:
    """What a training reads of a split."""
    if isinstance(training, Finetuning):
        rate = training.upstream.sample_rate
        return Waveforms(_utterances(context, split), sample_rate=rate)
    return open_split(context, "features", "acoustic", split)


def warps_of_features(context: StageContext) -> Warps | None:
    """Maps of stage `features`' frames to those of other voices, where its upstream has them."""
    features = context.input("features")
    if not features.has(f"{WARPS}/maps.npy"):
        return None
    folder = features.file(f"{WARPS}/maps.npy").parent
    features.file(f"{WARPS}/factors.npy")
    return Warps.read(folder)


def of_one_vocal_tract(context: StageContext, split: str) -> Mapping[str, Float32Array]:
    """Stage `features`' frames, of all speakers as if they had one vocal tract, where it has found
    theirs.
    """
    frames = open_split(context, "features", "acoustic", split)
    features, warps = context.input("features"), warps_of_features(context)
    if warps is None or not features.has(VOCAL_TRACTS):
        return frames
    path = features.file(VOCAL_TRACTS)
    speakers = {u.id: u.speaker for u in _utterances(context, split) if u.id in frames}
    factors = read_json(path, *set(speakers.values()))
    warp_of = {who: warps.nearest(float(factors[who])) for who in set(speakers.values())}
    change = partial(of_speaker, warps, warp_of, speakers)
    return Computed(frames.ids, partial(_changed, frames, change))


def _changed(
    frames: Mapping[str, Float32Array],
    change: Callable[[str, Float32Array], Float32Array],
    utterance_id: str,
) -> Float32Array:
    return change(utterance_id, np.array(frames[utterance_id]))


def _utterances(context: StageContext, split: str) -> list[Utterance]:
    return read_manifest(context.input("corpus").file(f"{split}.jsonl"))
