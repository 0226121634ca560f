"""Stages `corpus`, `features` and `text`: from what the user gives to what is learned from."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
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
    """Estimate the phone n-gram model of the text."""
    sentences = read_phone_sentences(context.input("text").file("phones.txt"))
    estimator = instantiate(context.config.language_model.estimator)
    flat = ([phone for word in sentence for phone in word] for sentence in sentences)
    estimator.estimate_to(context.out / "phones.arpa", flat)


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

        def extract(utterance: Utterance) -> tuple[Float32Array, Float32Array, Int32Array] | None:
            return trimmed_features(corpus.path, utterance, acoustic, boundary, silence)

        with one_torch_thread(), ThreadPoolExecutor(os.cpu_count()) as pool:
            extracted = pool.map(extract, utterances)
            for utterance, found in zip(
                progress(utterances, f"features {split}"), extracted, strict=True
            ):
                if found is not None:
                    static[utterance.id], edges[utterance.id], kept[utterance.id] = found
        if not static:
            raise ValueError(f"no utterance of {split} has speech; look at features.silence")
        if len(static) < len(utterances):
            log.warning("%s: %d utterances too short", split, len(utterances) - len(static))
        speakers = {u.id: u.speaker for u in utterances}
        acoustic_by_speaker = _by_speaker(
            {i: add_deltas(x, (1.0, 1.0, 1.0)) for i, x in static.items()}, speakers
        )
        boundary_by_speaker = _by_speaker(edges, speakers)
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
    root: Path, utterance: Utterance, acoustic: Upstream, boundary: Upstream, silence: Silence
) -> tuple[Float32Array, Float32Array, Int32Array] | None:
    """Frames without long silences, of both upstreams, and their original indices.

    None for audio of fewer than 4 frames.
    """
    rate = acoustic.sample_rate
    samples = read_audio(root / utterance.audio, sample_rate=rate)
    if len(samples) < int(_FRAME_S * rate) + 3 * acoustic.frame_shift_samples:
        return None
    wave_1N, length_1 = torch.from_numpy(samples)[None], torch.tensor([len(samples)])
    static_TD = acoustic.encode(wave_1N, length_1).layers_BTD[-1][0].numpy()
    edges_TD = boundary.encode(wave_1N, length_1).layers_BTD[-1][0].numpy()
    energy_T = _energy_db(samples, int(_FRAME_S * rate), acoustic.frame_shift_samples)
    num_frames = min(len(static_TD), len(edges_TD), len(energy_T))
    kept = silence.kept_frames(energy_T[:num_frames])
    if len(kept) < 4:
        return None
    return static_TD[kept], edges_TD[kept], kept


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Many small tensors are quicker one a thread than each cut over all threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _energy_db(samples_N: Float32Array, window: int, shift: int) -> Float32Array:
    frames_TN = np.lib.stride_tricks.sliding_window_view(samples_N, window)[::shift]
    power_T = np.mean(np.square(frames_TN, dtype=np.float64), axis=1)
    return (10 * np.log10(np.maximum(power_T, 1e-10))).astype(np.float32)


def _by_speaker(
    features: Mapping[str, Float32Array], speakers: Mapping[str, str]
) -> dict[str, Float32Array]:
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
