"""Stage `features`: MFCC and log-mel frames of every recording, normalised by speaker."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.manifest import read_manifest
from unsup_asr.formats.ragged import RaggedArray, RaggedWriter
from unsup_asr.formats.warps import Warps
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
from unsup_asr.upstreams.vocal_tract import (
    VocalTractNormalisation,
    VocalTracts,
    speaker_samples,
)
from unsup_asr.upstreams.warping import FrameMoments, Warpable, normalised_warps

ACOUSTIC, BOUNDARY, WARPS = "acoustic", "boundary", "warps"  # folders
VOCAL_TRACTS = "vocal_tracts.json"

log = logging.getLogger(__name__)


def run_features(context: StageContext) -> None:
    """Write, by split, `acoustic` (with deltas) and `boundary` features, `cluster` (both, weighted,
    of speakers made alike) and `kept` (original frame indices); all are normalised by speaker. And
    `warps`, the maps of acoustic features to those of other voices, where the upstream knows them.

    In two passes, so that memory is flat in the hours of audio: features as they are into a scratch
    folder, then their statistics, then the normalised ones.
    """
    options = context.config.features
    acoustic: Upstream = instantiate(options.upstream)
    boundary: Upstream = instantiate(options.boundary_upstream)
    check_same_frames(boundary, acoustic, option="features.boundary_upstream")
    silence: Silence = instantiate(options.silence)
    scratch = context.out / "scratch"
    corpus = context.input("corpus")
    speakers: dict[str, str] = {}
    for split in SPLITS:
        utterances = read_manifest(corpus.file(f"{split}.jsonl"))
        speakers |= {u.id: u.speaker for u in utterances}
        with (
            RaggedWriter(scratch / ACOUSTIC / split) as with_deltas,
            RaggedWriter(scratch / BOUNDARY / split) as edges,
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
    warps = [
        _normalised(context, scratch, name, upstream, speakers)
        for name, upstream in ((ACOUSTIC, acoustic), (BOUNDARY, boundary))
    ]
    shutil.rmtree(scratch)
    if warps[0] is not None:
        warps[0].write(context.out / WARPS)
    _write_clusters(context, warps, speakers)
    write_timing(context.out / "timing.json", timing_of(acoustic))


def _normalised(
    context: StageContext, scratch: Path, name: str, upstream: Upstream, speakers: Mapping[str, str]
) -> Warps | None:
    """Write frames normalised by speaker; the maps to other voices, if the upstream has them."""
    variance_E, moments = np.zeros(0), FrameMoments()  # of training speech
    for split in SPLITS:
        raw = RaggedArray.open(scratch / name / split)
        statistics = speaker_statistics(raw, speakers)
        if split == "train":
            variance_E = np.mean([np.square(x.std_D) for x in statistics.values()], axis=0)
        with RaggedWriter(context.out / name / split) as writer:
            for i, x_TE in raw.items():
                normal_TE = normalise_speaker(x_TE, statistics[speakers[i]])
                writer.append(i, normal_TE)
                if split == "train":
                    moments.add(normal_TE)
    if not isinstance(upstream, Warpable):
        name_of = type(upstream).__name__
        log.info("%s has no warp: speakers are clustered as they are", name_of)
        return None
    return normalised_warps(upstream, np.sqrt(variance_E), moments.mean())


def _vocal_tracts(
    context: StageContext,
    normalisation: VocalTractNormalisation,
    warps: Warps,
    speakers: Mapping[str, str],
) -> dict[str, int]:
    """Which warp each speaker gets; those of dev and test by what training speech is like."""
    chosen: dict[str, int] = {}
    tracts: VocalTracts | None = None
    for split in SPLITS:
        frames = RaggedArray.open(context.out / ACOUSTIC / split)
        samples = speaker_samples(frames, speakers, normalisation.frames_a_speaker)
        if tracts is None:
            tracts = normalisation.fit(samples, warps)
            chosen |= tracts.chosen
        new = samples.keys() - chosen.keys()
        chosen |= {who: tracts.likeliest(samples[who]) for who in sorted(new)}
    factors = {who: round(float(warps.factors_W[w]), 3) for who, w in chosen.items()}
    log.info("frequencies of speakers, times: %s", factors)
    (context.out / VOCAL_TRACTS).write_text(json.dumps(factors), "utf-8")
    return chosen


def _write_clusters(
    context: StageContext, warps: Sequence[Warps | None], speakers: Mapping[str, str]
) -> None:
    """What segments are clustered on: all frames, weighted, of speakers of one vocal tract."""
    options = context.config.features
    changes: list[Callable[[str, Float32Array], Float32Array]] = [lambda _, x: x] * len(warps)
    known = [x for x in warps if x is not None]
    if options.vocal_tract is not None and len(known) == len(warps):
        normalisation: VocalTractNormalisation = instantiate(options.vocal_tract)
        near = [x.within(normalisation.max_factor) for x in known]
        chosen = _vocal_tracts(context, normalisation, near[0], speakers)
        changes = [partial(of_speaker, x, chosen, speakers) for x in near]
    for split in SPLITS:
        frames = [RaggedArray.open(context.out / name / split) for name in (ACOUSTIC, BOUNDARY)]
        with RaggedWriter(context.out / "cluster" / split) as writer:
            for i in frames[0]:
                acoustic_TE, boundary_TD = (
                    change(i, np.array(x[i])) for change, x in zip(changes, frames, strict=True)
                )
                weighted_TE = weigh_deltas(acoustic_TE, tuple(options.delta_weights))
                blocks = [weighted_TE, options.boundary_weight * boundary_TD]
                writer.append(i, np.concatenate(blocks, axis=1))


def of_speaker(
    warps: Warps,
    chosen: Mapping[str, int],
    speakers: Mapping[str, str],
    utterance_id: str,
    frames_TD: Float32Array,
) -> Float32Array:
    """An utterance's frames under the warp that is chosen for who speaks."""
    return warps.of(frames_TD, chosen[speakers[utterance_id]])


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
