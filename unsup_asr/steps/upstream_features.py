"""Stage `features` where a recipe reads one layer of an upstream, out of `representations`.

The same four arrays as from MFCC, so that all later stages are the same: `boundary` and `cluster`
are what wav2vec-U segments and pools (the layer as it is, and its principal components), `acoustic`
is what networks train on (the layer with the training frames' mean and deviation taken out).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig

from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.manifest import read_manifest
from unsup_asr.formats.ragged import RaggedArray, RaggedWriter
from unsup_asr.formats.sharded import ShardedArray
from unsup_asr.lookahead import map_ahead
from unsup_asr.progress import progress
from unsup_asr.protocols import Projection, Silence, Upstream
from unsup_asr.recognise.features import STATISTICS, one_torch_thread
from unsup_asr.speech.audio import read_utterance
from unsup_asr.speech.cutting import cut_audio, speech_frames
from unsup_asr.speech.timing import check_same_frames, timing_of, write_timing
from unsup_asr.steps.computed import Computed
from unsup_asr.steps.features import report_short
from unsup_asr.steps.representations import open_kept, open_layers
from unsup_asr.types import SPLITS, Float32Array, Int32Array, Utterance
from unsup_asr.upstreams.normalise import (
    SpeakerStatistics,
    normalise_speaker,
    speaker_statistics,
    streamed_statistics,
    write_statistics,
)

_STORED = "float16"  # as the layers are
# An utterance, and what is left of its frames where silence was cut out of its audio.
_Heard: TypeAlias = tuple[Utterance, Int32Array | None]


def run_upstream_features(context: StageContext) -> None:
    """Write, by split, `acoustic`, `boundary`, `cluster` and `kept`, and what was fitted on train.

    Reads and writes one utterance at a time: memory is flat in the hours of audio.
    """
    options = context.config.features
    upstream: Upstream = instantiate(options.upstream)
    projection: Projection | None = options.projection and instantiate(options.projection)
    statistics: SpeakerStatistics | None = None
    written = ["boundary"] if options.boundary_upstream is None else ["cluster"]
    if projection is not None and "cluster" not in written:
        written.append("cluster")
    for split in SPLITS:
        layer = _layer(context, split)
        _write_kept(context, split, layer, upstream)
        frames: Mapping[str, NDArray[np.float16]] = layer
        if options.cut_from == "frames":
            frames = _speech(layer, RaggedArray.open(context.out / "kept" / split))
        if split == "train":
            statistics = streamed_statistics(frames.values())
            write_statistics(context.out / STATISTICS, statistics)
            if projection is not None:
                projection.fit_blocks(frames.values())
                projection.save(context.out / "projection")
        assert statistics is not None
        with ExitStack() as stack:
            writers = {
                name: stack.enter_context(RaggedWriter(context.out / name / split, dtype=_STORED))
                for name in ("acoustic", *written)
            }
            for utterance_id, rows_TD in progress(frames.items(), f"features {split}"):
                writers["acoustic"].append(utterance_id, normalise_speaker(rows_TD, statistics))
                if "boundary" in writers:
                    writers["boundary"].append(utterance_id, rows_TD)
                if "cluster" in writers:
                    projected = rows_TD if projection is None else projection.apply(rows_TD)
                    writers["cluster"].append(utterance_id, projected)
        if "cluster" not in written:
            _same_files(context.out / "boundary" / split, context.out / "cluster" / split)
    write_timing(context.out / "timing.json", timing_of(upstream))


def _same_files(folder: Path, name: Path) -> None:
    """The array under another name too, without its bytes again where the disk can do that."""

    def link(source: str, target: str) -> None:
        try:
            os.link(source, target)
        except OSError:  # a file system without hard links
            shutil.copyfile(source, target)

    shutil.copytree(folder, name, copy_function=link)


def _speech(layer: ShardedArray, kept: RaggedArray) -> Computed[NDArray[np.float16]]:
    """A layer without long silences, utterance by utterance, read when asked for."""
    return Computed(kept.ids, lambda utterance_id: layer[utterance_id][kept[utterance_id]])


def _layer(context: StageContext, split: str) -> ShardedArray:
    layers, wanted = open_layers(context, split), context.config.features.layer
    if wanted not in layers:
        raise ValueError(
            f"features.layer is {wanted}; features.layers keeps {sorted(layers)}. Add it there"
        )
    return layers[wanted]


def _write_kept(context: StageContext, split: str, layer: ShardedArray, upstream: Upstream) -> None:
    """`kept`, and `boundary` where another upstream gives it: both are made from the audio.

    Where silence was cut out of the audio, `kept` was found then.
    """
    silence: Silence = instantiate(context.config.features.silence)
    other = _boundary_upstream(context.config.features, upstream)

    def read(item: _Heard) -> tuple[Int32Array | None, Float32Array | None]:
        utterance, left_K = item
        if left_K is not None and other is None:
            return left_K, None
        samples_N = read_utterance(utterance, sample_rate=upstream.sample_rate)
        if left_K is not None:
            samples_N = cut_audio(samples_N, left_K, upstream)
        num_frames, edges_TD = layer.length(utterance.id), None
        if other is not None:
            length_1 = torch.tensor([len(samples_N)])
            output = other.encode(torch.from_numpy(samples_N)[None], length_1)
            edges_TD = output.layers_BTD[-1][0].numpy()
            num_frames = min(num_frames, len(edges_TD))
        if left_K is not None:
            return left_K, None if edges_TD is None else edges_TD[: len(left_K)]
        kept_T = speech_frames(samples_N, upstream, silence, num_frames=num_frames)
        if kept_T is None or edges_TD is None:
            return kept_T, None
        return kept_T, edges_TD[kept_T]

    utterances = read_manifest(context.input("corpus").file(f"{split}.jsonl"))
    extracted = [utterance for utterance in utterances if utterance.id in layer]
    left = open_kept(context, split) if context.config.features.cut_from == "audio" else None
    items = ((u, None if left is None else left[u.id]) for u in extracted)
    scratch = context.out / "scratch"
    with (
        RaggedWriter(context.out / "kept" / split, dtype="int32") as kept,
        RaggedWriter(scratch) as edges,
        one_torch_thread(),
        ThreadPoolExecutor(context.num_threads) as pool,
    ):
        found = map_ahead(pool, read, items, ahead=4 * context.num_threads)
        for utterance, (kept_T, edges_TD) in zip(
            progress(extracted, f"silence {split}"), found, strict=True
        ):
            if kept_T is not None:
                kept.append(utterance.id, kept_T)
            if edges_TD is not None:
                edges.append(utterance.id, edges_TD)
    report_short(split, num_kept=len(kept), num_utterances=len(utterances))
    if other is not None:
        raw, speakers = RaggedArray.open(scratch), {u.id: u.speaker for u in utterances}
        of_speaker = speaker_statistics(raw, speakers)
        with RaggedWriter(context.out / "boundary" / split) as boundary:
            for utterance_id, rows_TD in raw.items():
                speaker = of_speaker[speakers[utterance_id]]
                boundary.append(utterance_id, normalise_speaker(rows_TD, speaker))
    shutil.rmtree(scratch)


def _boundary_upstream(options: DictConfig, upstream: Upstream) -> Upstream | None:
    if options.boundary_upstream is None:
        return None
    other: Upstream = instantiate(options.boundary_upstream)
    check_same_frames(other, upstream, option="features.boundary_upstream")
    return other
