"""Stage `auxiliary`: the acoustic cluster of every training frame, which wav2vec-U 2.0 predicts.

Liu et al. 2022 cluster MFCC with their deltas, made of the audio beside the frames of the upstream
and as they are, without normalisation.
"""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.manifest import read_manifest
from unsup_asr.formats.ragged import RaggedArray, RaggedWriter
from unsup_asr.lookahead import map_ahead
from unsup_asr.progress import progress
from unsup_asr.protocols import Clusterer, Upstream
from unsup_asr.recognise.features import one_torch_thread
from unsup_asr.speech.audio import read_utterance
from unsup_asr.speech.timing import timing_of
from unsup_asr.steps.inputs import frame_timing, open_split
from unsup_asr.types import Float32Array, FrameTiming, Int32Array, Utterance
from unsup_asr.upstreams.normalise import add_deltas


def run_auxiliary(context: StageContext) -> None:
    """Write `targets/train`, an id for every frame that the feature stage kept, and the model.

    Memory is flat in the hours of audio where the clusterer takes a sample; the frames that are
    clustered lie in a scratch folder, 28 MB an hour of MFCC at 50 Hz.
    """
    options = context.config.gan
    clusterer: Clusterer = instantiate(options.auxiliary_clusterer)
    scratch = context.out / "scratch"
    if options.auxiliary_upstream is None:
        frames = open_split(context, "features", "acoustic", "train")
    else:
        _write_frames(context, instantiate(options.auxiliary_upstream), scratch)
        frames = RaggedArray.open(scratch)
    clusterer.fit(frames.values_array)
    clusterer.save(context.out / "model")
    with RaggedWriter(context.out / "targets" / "train", dtype="int32") as writer:
        for utterance_id, rows_TD in progress(frames.items(), "auxiliary classes"):
            writer.append(utterance_id, clusterer.assign(np.array(rows_TD, dtype=np.float32)))
    if scratch.exists():
        shutil.rmtree(scratch)


def nearest_frames(kept_K: Int32Array, timing: FrameTiming, other: FrameTiming) -> Int32Array:
    """The frame of another timing that is nearest to each kept frame, (K,); may be past the end."""
    centres_s = timing.first_centre_s + timing.shift_s * np.asarray(kept_K, dtype=np.float64)
    places = (centres_s - other.first_centre_s) / other.shift_s
    return np.maximum(np.round(places), 0).astype(np.int32)


def _write_frames(context: StageContext, upstream: Upstream, folder: Path) -> None:
    """Frames of an upstream with their deltas, at the times of the frames that were kept."""
    timing, kept = frame_timing(context), open_split(context, "features", "kept", "train")

    def read(utterance: Utterance) -> Float32Array:
        samples_N = read_utterance(utterance, sample_rate=upstream.sample_rate)
        length_1 = torch.tensor([len(samples_N)])
        output = upstream.encode(torch.from_numpy(samples_N)[None], length_1)
        rows_TD = add_deltas(output.layers_BTD[-1][0].numpy(), (1.0, 1.0, 1.0))
        places = nearest_frames(np.array(kept[utterance.id]), timing, timing_of(upstream))
        return rows_TD[np.minimum(places, len(rows_TD) - 1)]

    utterances = read_manifest(context.input("corpus").file("train.jsonl"))
    heard = [utterance for utterance in utterances if utterance.id in kept]
    with (
        RaggedWriter(folder) as writer,
        one_torch_thread(),
        ThreadPoolExecutor(context.num_threads) as pool,
    ):
        found = map_ahead(pool, read, heard, ahead=4 * context.num_threads)
        for utterance, rows_TD in zip(progress(heard, "auxiliary frames"), found, strict=True):
            writer.append(utterance.id, rows_TD)
