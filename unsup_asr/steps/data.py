"""Stages `corpus`, `features` and `text`: from what the user gives to what is learned from."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch

from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.extraction.lookahead import map_ahead
from unsup_asr.formats.manifest import read_manifest
from unsup_asr.formats.phone_text import read_phone_sentences
from unsup_asr.formats.ragged import RaggedArray, RaggedWriter
from unsup_asr.progress import progress
from unsup_asr.protocols import Silence, Upstream
from unsup_asr.speech.audio import read_audio
from unsup_asr.speech.timing import MIN_FRAMES, frame_samples, shortest_samples
from unsup_asr.types import Float32Array, Int32Array, Utterance
from unsup_asr.upstreams.normalise import (
    add_deltas,
    normalise_speaker,
    speaker_statistics,
    weigh_deltas,
)

log = logging.getLogger(__name__)

SPLITS = ("train", "dev", "test")


def run_corpus(context: StageContext) -> None:
    """Write manifests, unpaired text and (sealed) references."""
    instantiate(context.config.corpus).build(context.out)


def run_text(context: StageContext) -> None:
    """Normalise and phonemize the unpaired text."""
    front_end = instantiate(context.config.text.front_end)
    front_end.prepare(context.input("corpus").file("text.txt"), context.out)


def run_language_model(context: StageContext) -> None:
    """Estimate the n-gram models of the text: of its phones, of its words."""
    sentences = read_phone_sentences(context.input("text").file("phones.txt"))
    options = context.config.language_model
    flat = ([phone for word in sentence for phone in word] for sentence in sentences)
    instantiate(options.estimator).estimate_to(context.out / "phones.arpa", flat)
    lines = context.input("text").file("words.txt").read_text("utf-8").splitlines()
    words = (line.split() for line in lines)
    instantiate(options.word_estimator).estimate_to(context.out / "words.arpa", words)


def run_features(context: StageContext) -> None:
    """Write, by split, `acoustic` (with deltas) and `boundary` features, `cluster` (both, weighted)
    and `kept` (original frame indices); all are normalised by speaker.

    In two passes, so that memory is flat in the hours of audio: features as they are into a scratch
    folder, then their statistics, then the normalised ones.
    """
    options = context.config.features
    acoustic: Upstream = instantiate(options.upstream)
    boundary: Upstream = instantiate(options.boundary_upstream)
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
                utterances, (acoustic, boundary), silence, f"features {split}"
            ):
                with_deltas.append(utterance_id, add_deltas(static_TD, (1.0, 1.0, 1.0)))
                edges.append(utterance_id, edges_TD)
                kept.append(utterance_id, kept_T)
        report_short(split, num_kept=len(with_deltas), num_utterances=len(utterances))
        speakers = {u.id: u.speaker for u in utterances}
        raw = [RaggedArray.open(scratch / name) for name in ("acoustic", "boundary")]
        statistics = [speaker_statistics(x, speakers) for x in raw]
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
                acoustic_writer.append(i, acoustic_TD)
                boundary_writer.append(i, boundary_TD)
                weighted_TD = weigh_deltas(acoustic_TD, tuple(options.delta_weights))
                blocks = [weighted_TD, options.boundary_weight * boundary_TD]
                cluster_writer.append(i, np.concatenate(blocks, axis=1))
        shutil.rmtree(scratch)
    write_timing(context, acoustic)


def _extracted(
    utterances: Sequence[Utterance],
    upstreams: tuple[Upstream, Upstream],
    silence: Silence,
    title: str,
) -> Iterator[tuple[str, Float32Array, Float32Array, Int32Array]]:
    """Id, trimmed frames of both upstreams and their original indices, of what is long enough."""

    def extract(utterance: Utterance) -> tuple[list[Float32Array], Int32Array] | None:
        samples_N = read_audio(utterance.audio, sample_rate=upstreams[0].sample_rate)
        try:
            return trimmed_features(samples_N, upstreams, silence)
        except ValueError as error:
            raise ValueError(f"utterance {utterance.id} ({utterance.audio}): {error}") from error

    num_threads = os.cpu_count() or 1
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
        log.warning("%s: %d utterances too short", split, num_utterances - num_kept)


def write_timing(context: StageContext, upstream: Upstream) -> None:
    """Where frames lie in time, for all stages that speak of seconds."""
    shift_s = upstream.frame_shift_samples / upstream.sample_rate
    timing = {"frame_shift_s": shift_s, "first_centre_s": upstream.first_centre_s}
    (context.out / "timing.json").write_text(json.dumps(timing), "utf-8")


def trimmed_features(
    samples_N: Float32Array, upstreams: Sequence[Upstream], silence: Silence
) -> tuple[list[Float32Array], Int32Array] | None:
    """Frames (T, D) of each upstream without long silences, and their original indices.

    None for audio of fewer than 4 frames; ValueError where features are not finite.
    """
    if len(samples_N) < shortest_samples(upstreams[0]):
        return None
    wave_1N, length_1 = torch.from_numpy(samples_N)[None], torch.tensor([len(samples_N)])
    frames = [up.encode(wave_1N, length_1).layers_BTD[-1][0].numpy() for up in upstreams]
    for upstream, x_TD in zip(upstreams, frames, strict=True):
        if not np.isfinite(x_TD).all():
            bad = np.count_nonzero(~np.isfinite(x_TD).all(axis=1))
            raise ValueError(
                f"{bad} of {len(x_TD)} frames of {type(upstream).__name__} are NaN or infinite; "
                "look at the audio and at the upstream's options"
            )
    kept_T = speech_frames(samples_N, upstreams[0], silence, num_frames=min(map(len, frames)))
    return None if kept_T is None else ([x[kept_T] for x in frames], kept_T)


def speech_frames(
    samples_N: Float32Array, upstream: Upstream, silence: Silence, *, num_frames: int
) -> Int32Array | None:
    """Which of an upstream's frames are no long silence; None for fewer than 4."""
    kept_T = silence.speech_frames(
        samples_N,
        frame_samples=frame_samples(upstream),
        shift_samples=upstream.frame_shift_samples,
    )
    kept_T = kept_T[kept_T < num_frames]
    return kept_T if len(kept_T) >= MIN_FRAMES else None


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Many small tensors are quicker one a thread than each cut over all threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def open_split(context: StageContext, stage: str, name: str, split: str) -> RaggedArray:
    """The ragged array `name/split` of an input stage."""
    return RaggedArray.open(context.input(stage).file(f"{name}/{split}/values.npy").parent)
