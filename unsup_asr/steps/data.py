"""Stages `corpus`, `features` and `text`: from what the user gives to what is learned from."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from unsup_asr.audio import read_audio
from unsup_asr.config import instantiate
from unsup_asr.manifest import read_manifest
from unsup_asr.phone_text import read_phone_sentences
from unsup_asr.progress import progress
from unsup_asr.protocols import Silence, Upstream
from unsup_asr.ragged import RaggedArray, RaggedWriter
from unsup_asr.stages import StageContext
from unsup_asr.types import Float32Array, Int32Array, Utterance
from unsup_asr.upstreams.normalise import (
    add_deltas,
    normalise_speaker,
    speaker_statistics,
    weigh_deltas,
)

log = logging.getLogger(__name__)

SPLITS = ("train", "dev", "test")
_FRAME_S = 0.025  # window of a frame: its energy is taken over it
FIRST_CENTRE_S = _FRAME_S / 2


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
    """
    corpus = context.input("corpus")
    options = context.config.features
    acoustic: Upstream = instantiate(options.upstream)
    boundary: Upstream = instantiate(options.boundary_upstream)
    silence: Silence = instantiate(options.silence)
    for split in SPLITS:
        utterances = read_manifest(corpus.file(f"{split}.jsonl"))
        static: dict[str, Float32Array] = {}
        edges: dict[str, Float32Array] = {}
        kept: dict[str, Int32Array] = {}

        def extract(utterance: Utterance) -> tuple[list[Float32Array], Int32Array] | None:
            samples_N = read_audio(corpus.file(utterance.audio), sample_rate=acoustic.sample_rate)
            try:
                return trimmed_features(samples_N, (acoustic, boundary), silence)
            except ValueError as error:
                raise ValueError(
                    f"utterance {utterance.id} ({utterance.audio}): {error}"
                ) from error

        with one_torch_thread(), ThreadPoolExecutor(os.cpu_count()) as pool:
            extracted = pool.map(extract, utterances)
            for utterance, found in zip(
                progress(utterances, f"features {split}"), extracted, strict=True
            ):
                if found is not None:
                    (static[utterance.id], edges[utterance.id]), kept[utterance.id] = found
        if not static:
            raise ValueError(f"no utterance of {split} has speech; look at features.silence")
        if len(static) < len(utterances):
            log.warning("%s: %d utterances too short", split, len(utterances) - len(static))
        speakers = {u.id: u.speaker for u in utterances}
        acoustic_by_speaker = by_speaker(
            {i: add_deltas(x, (1.0, 1.0, 1.0)) for i, x in static.items()}, speakers
        )
        boundary_by_speaker = by_speaker(edges, speakers)
        cluster = {
            i: np.concatenate(
                [
                    weigh_deltas(x, tuple(options.delta_weights)),
                    options.boundary_weight * boundary_by_speaker[i],
                ],
                axis=1,
            )
            for i, x in acoustic_by_speaker.items()
        }
        _write(context.out / "acoustic" / split, acoustic_by_speaker)
        _write(context.out / "boundary" / split, boundary_by_speaker)
        _write(context.out / "cluster" / split, cluster)
        _write(context.out / "kept" / split, kept, dtype="int32")
    shift_s = acoustic.frame_shift_samples / acoustic.sample_rate
    timing = {"frame_shift_s": shift_s, "first_centre_s": FIRST_CENTRE_S}
    (context.out / "timing.json").write_text(json.dumps(timing), "utf-8")


def trimmed_features(
    samples_N: Float32Array, upstreams: Sequence[Upstream], silence: Silence
) -> tuple[list[Float32Array], Int32Array] | None:
    """Frames (T, D) of each upstream without long silences, and their original indices.

    None for audio of fewer than 4 frames; ValueError where features are not finite.
    """
    window = int(_FRAME_S * upstreams[0].sample_rate)
    shift = upstreams[0].frame_shift_samples
    if len(samples_N) < window + 3 * shift:
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
    kept = silence.speech_frames(samples_N, frame_samples=window, shift_samples=shift)
    kept = kept[kept < min(map(len, frames))]
    if len(kept) < 4:
        return None
    return [x[kept] for x in frames], kept


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Many small tensors are quicker one a thread than each cut over all threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def by_speaker(
    features: Mapping[str, Float32Array], speakers: Mapping[str, str]
) -> dict[str, Float32Array]:
    """Zero mean and unit variance in each dimension over all frames of a speaker."""
    statistics = speaker_statistics(features, speakers)
    return {i: normalise_speaker(x, statistics[speakers[i]]) for i, x in features.items()}


def _write(
    folder: Path, arrays: Mapping[str, Float32Array | Int32Array], *, dtype: str = "float32"
) -> None:
    with RaggedWriter(folder, dtype=dtype) as writer:
        for utterance_id, array in arrays.items():
            writer.append(utterance_id, array)


def open_split(context: StageContext, stage: str, name: str, split: str) -> RaggedArray:
    """The ragged array `name/split` of an input stage."""
    return RaggedArray.open(context.input(stage).file(f"{name}/{split}/values.npy").parent)
