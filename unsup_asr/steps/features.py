"""Stage `features`: MFCC and log-mel frames of every recording, normalised by speaker."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.manifest import read_manifest
from unsup_asr.formats.ragged import RaggedArray, RaggedWriter
from unsup_asr.lookahead import map_ahead
from unsup_asr.progress import progress
from unsup_asr.protocols import Silence, Upstream
from unsup_asr.recognise.features import one_torch_thread, trimmed_features
from unsup_asr.speech.audio import read_utterance
from unsup_asr.speech.timing import check_same_frames, timing_of, write_timing
from unsup_asr.types import SPLITS, Float32Array, Int32Array, Utterance
from unsup_asr.upstreams.normalise import (
    add_deltas,
    normalise_speaker,
    speaker_statistics,
    weigh_deltas,
)
from unsup_asr.upstreams.warping import FrameMoments, Warpable, normalised_warps

WARPS = "warps"  # a folder

log = logging.getLogger(__name__)


def run_features(context: StageContext) -> None:
    """Write, by split, `acoustic` (with deltas) and `boundary` features, `cluster` (both, weighted)
    and `kept` (original frame indices); all are normalised by speaker. And `warps`, the maps of
    acoustic features to those of other voices, where the upstream knows them.

    In two passes, so that memory is flat in the hours of audio: features as they are into a scratch
    folder, then their statistics, then the normalised ones.
    """
    options = context.config.features
    acoustic: Upstream = instantiate(options.upstream)
    boundary: Upstream = instantiate(options.boundary_upstream)
    check_same_frames(boundary, acoustic, option="features.boundary_upstream")
    silence: Silence = instantiate(options.silence)
    scratch = context.out / "scratch"
    for split in SPLITS:
        utterances = read_manifest(context.input("corpus").file(f"{split}.jsonl"))
        with (
            RaggedWriter(scratch / "acoustic") as with_deltas,
            RaggedWriter(scratch / "boundary") as edges,
            RaggedWriter(context.out / "kept" / split, dtype="int32") as kept,
        ):
            for utterance_id, static_TD, edges_TD, kept_T in _extracted(
                utterances,
                (acoustic, boundary),
                silence,
                num_threads=context.num_threads,
                title=f"features {split}",
            ):
                with_deltas.append(utterance_id, add_deltas(static_TD, (1.0, 1.0, 1.0)))
                edges.append(utterance_id, edges_TD)
                kept.append(utterance_id, kept_T)
        report_short(split, num_kept=len(with_deltas), num_utterances=len(utterances))
        speakers = {u.id: u.speaker for u in utterances}
        raw = [RaggedArray.open(scratch / name) for name in ("acoustic", "boundary")]
        statistics = [speaker_statistics(x, speakers) for x in raw]
        moments = FrameMoments()
        with (
            RaggedWriter(context.out / "acoustic" / split) as acoustic_writer,
            RaggedWriter(context.out / "boundary" / split) as boundary_writer,
            RaggedWriter(context.out / "cluster" / split) as cluster_writer,
        ):
            for i in raw[0]:
                acoustic_TD, boundary_TD = (
                    normalise_speaker(x[i], of_speaker[speakers[i]])
                    for x, of_speaker in zip(raw, statistics, strict=True)
                )
                moments.add(acoustic_TD)
                acoustic_writer.append(i, acoustic_TD)
                boundary_writer.append(i, boundary_TD)
                weighted_TD = weigh_deltas(acoustic_TD, tuple(options.delta_weights))
                blocks = [weighted_TD, options.boundary_weight * boundary_TD]
                cluster_writer.append(i, np.concatenate(blocks, axis=1))
        shutil.rmtree(scratch)
        if split == "train" and isinstance(acoustic, Warpable):
            variance_E = np.mean([np.square(x.std_D) for x in statistics[0].values()], axis=0)
            warps = normalised_warps(acoustic, np.sqrt(variance_E), moments.mean())
            warps.write(context.out / WARPS)
    write_timing(context.out / "timing.json", timing_of(acoustic))


def _extracted(
    utterances: Sequence[Utterance],
    upstreams: tuple[Upstream, Upstream],
    silence: Silence,
    *,
    num_threads: int,
    title: str,
) -> Iterator[tuple[str, Float32Array, Float32Array, Int32Array]]:
    """Id, trimmed frames of both upstreams and their original indices, of what is long enough."""

    def extract(utterance: Utterance) -> tuple[list[Float32Array], Int32Array] | None:
        samples_N = read_utterance(utterance, sample_rate=upstreams[0].sample_rate)
        try:
            return trimmed_features(samples_N, upstreams, silence)
        except ValueError as error:
            raise ValueError(f"utterance {utterance.id} ({utterance.audio}): {error}") from error

    with one_torch_thread(), ThreadPoolExecutor(num_threads) as pool:
        extracted = map_ahead(pool, extract, utterances, ahead=4 * num_threads)
        for utterance, found in zip(progress(utterances, title), extracted, strict=True):
            if found is not None:
                (first_TD, second_TD), kept_T = found
                yield utterance.id, first_TD, second_TD, kept_T


def report_short(split: str, *, num_kept: int, num_utterances: int) -> None:
    """Count what was left out as too short; ValueError when nothing was kept."""
    if not num_kept:
        raise ValueError(f"no utterance of {split} has speech; look at features.silence")
    if num_kept < num_utterances:
        log.warning(
            "%s: %d of %d utterances are too short once silence is cut, and are left out. If they "
            "are many, look at features.silence",
            *(split, num_utterances - num_kept, num_utterances),
        )
