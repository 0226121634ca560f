"""One worker of an extraction: reads its shards' audio, runs the upstream, writes every layer.

Runs in the stage's own process, in one of several processes (`python -m
unsup_asr.extraction.worker JOB WORKER NUM_WORKERS NUM_THREADS`), or on another machine: all three
call `run_worker`.

Axes: B batch, N samples, T frames, D dims.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import OmegaConf
from torch.nn.utils.rnn import pad_sequence

from unsup_asr import compute
from unsup_asr.engine.artifacts import sync_tree
from unsup_asr.engine.config import instantiate
from unsup_asr.extraction.plan import ERRORS, SCRATCH, Extraction, Shard
from unsup_asr.formats.ragged import RaggedWriter
from unsup_asr.lookahead import map_ahead
from unsup_asr.protocols import Silence, Upstream
from unsup_asr.speech.audio import read_utterance
from unsup_asr.speech.cutting import cut_audio, speech_frames
from unsup_asr.speech.timing import frame_samples, shortest_samples
from unsup_asr.types import Float32Array, Int32Array, Seconds, Utterance
from unsup_asr.upstreams.featurizer import limited_to

log = logging.getLogger(__name__)

KEPT = "kept"  # of a shard whose audio was cut: the frames of the whole audio that are left

_NUM_READERS = 2  # batches of audio that are read while another one is computed
_MAX_FRAMES_OFF = 4  # between what an upstream gives and what its frame shift promises


def run_worker(
    job: str, worker: int, num_workers: int, poll: Callable[[], None] = lambda: None
) -> None:
    """Extract every `num_workers`-th shard, from shard `worker` on; `poll` is called after each.

    What is wrong with the user's data or options goes into a file under `errors`, as it would be
    wrong again at the next attempt; all else ends the worker.
    """
    path = Path(job)
    extraction = Extraction.read(path)
    try:
        upstream: Upstream = instantiate(OmegaConf.create(extraction.upstream))
        layers = chosen_layers(extraction.layers, upstream.num_layers)
        num_given = limited_to(upstream, max(layers))
        silence: Silence | None = None
        if extraction.silence is not None:
            silence = instantiate(OmegaConf.create(extraction.silence))
        for shard in extraction.shards[worker::num_workers]:
            if not path.exists():  # the run that wanted it has ended without this worker
                return
            _extract_shard(extraction, shard, upstream, silence, layers, num_given)
            poll()
    except ValueError as error:
        errors = Path(extraction.work) / ERRORS
        if not errors.is_dir():
            raise
        (errors / f"{worker:05d}.txt").write_text(str(error), "utf-8")


def chosen_layers(layers: int | list[int] | str, num_layers: int) -> list[int]:
    """Indices from 0 of one layer, a list of them, or "all"; ValueError for one not there."""
    if layers == "all":
        return list(range(num_layers))
    indices = layers if isinstance(layers, list) else [layers]
    found = [k for k in indices if type(k) is int and 0 <= k < num_layers]
    if not indices or len(found) < len(indices):
        raise ValueError(
            f"features.layers is {layers!r}; expected an index, a list of them, or all; the "
            f"upstream has {num_layers} layers, 0 to {num_layers - 1}"
        )
    return sorted(set(found))


def length_batches(
    utterances: Sequence[Utterance], *, batch_seconds: Seconds
) -> list[list[Utterance]]:
    """Utterances of similar length together: at most `batch_seconds` each, padding included.

    The longest come first: what does not fit into memory fails at once.
    """
    batches: list[list[Utterance]] = []
    for utterance in sorted(utterances, key=lambda u: (-u.duration_s, u.id)):
        batch = batches[-1] if batches else []
        if batch and batch[0].duration_s * (len(batch) + 1) <= batch_seconds:
            batch.append(utterance)
        else:
            batches.append([utterance])
    return batches


def _extract_shard(
    extraction: Extraction,
    shard: Shard,
    upstream: Upstream,
    silence: Silence | None,
    layers: Sequence[int],
    num_given: int,
) -> None:
    """Write one shard beside its place, then move it there."""
    final = extraction.folder(shard)
    own = f"{shard.split}.{shard.name}.{socket.gethostname()}.{os.getpid()}"
    scratch = Path(extraction.work) / SCRATCH / own
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    meta = {"upstream": upstream.fingerprint(), "device": compute.device().type}
    batches = length_batches(shard.utterances, batch_seconds=extraction.batch_seconds)
    kept_writer: RaggedWriter | None = None
    with ExitStack() as stack:
        writers = {
            k: stack.enter_context(
                RaggedWriter(scratch / f"layer_{k}", dtype="float16", meta={**meta, "layer": k})
            )
            for k in layers
        }
        if silence is not None:
            kept_writer = stack.enter_context(RaggedWriter(scratch / KEPT, dtype="int32"))
        pool = stack.enter_context(ThreadPoolExecutor(_NUM_READERS))
        for waves, kept in map_ahead(
            pool, lambda batch: _read_batch(batch, upstream, silence), batches, ahead=_NUM_READERS
        ):
            if not waves:
                continue
            for utterance_id, by_layer in _encode(waves, upstream, layers, num_given):
                num_frames = min(map(len, by_layer.values()))
                if kept_writer is not None:
                    num_frames = min(num_frames, len(kept[utterance_id]))
                    kept_writer.append(utterance_id, kept[utterance_id][:num_frames])
                for k, rows_TD in by_layer.items():
                    writers[k].append(utterance_id, rows_TD[:num_frames])
    sync_tree(scratch)
    final.parent.mkdir(parents=True, exist_ok=True)
    try:
        scratch.rename(final)
    except OSError:  # a worker of a run that was killed had the same shard, and was quicker
        if not final.is_dir():
            raise
        shutil.rmtree(scratch)


def _read_batch(
    batch: Sequence[Utterance], upstream: Upstream, silence: Silence | None
) -> tuple[dict[str, Float32Array], dict[str, Int32Array]]:
    """Samples by utterance id, without those that are too short for features; where silence is cut
    out of them, the frames of the whole audio that are left.
    """
    waves: dict[str, Float32Array] = {}
    kept: dict[str, Int32Array] = {}
    for utterance in batch:
        samples_N = read_utterance(utterance, sample_rate=upstream.sample_rate)
        if len(samples_N) < shortest_samples(upstream):
            continue
        if silence is not None:
            kept_K = speech_frames(samples_N, upstream, silence)
            if kept_K is None:
                continue
            kept[utterance.id] = kept_K
            samples_N = cut_audio(samples_N, kept_K, upstream)
        waves[utterance.id] = samples_N
    return waves, kept


def _encode(
    waves: Mapping[str, Float32Array],
    upstream: Upstream,
    layers: Sequence[int],
    num_given: int,
) -> Iterator[tuple[str, dict[int, NDArray[np.float16]]]]:
    """Frames of each utterance by layer, (T, D), of an upstream that gives so many layers."""
    device = compute.device()
    lengths_B = torch.tensor([len(wave) for wave in waves.values()])
    waves_BN = pad_sequence([torch.from_numpy(w) for w in waves.values()], batch_first=True)
    with torch.inference_mode():
        output = upstream.encode(waves_BN.to(device), lengths_B.to(device))
    if len(output.layers_BTD) != num_given:
        raise ValueError(
            f"{type(upstream).__name__} gave {len(output.layers_BTD)} layers; expected "
            f"{num_given}, its num_layers is {upstream.num_layers}. Correct the upstream"
        )
    halves = {k: output.layers_BTD[k].to(torch.float16).cpu().numpy() for k in layers}
    for row, (utterance_id, length) in enumerate(
        zip(waves, output.lengths_B.tolist(), strict=True)
    ):
        _check_length(upstream, utterance_id, length, num_samples=int(lengths_B[row]))
        by_layer = {k: x_BTD[row, :length] for k, x_BTD in halves.items()}
        for k, rows_TD in by_layer.items():
            if not np.isfinite(rows_TD).all():
                raise ValueError(_not_finite(utterance_id, k, output.layers_BTD[k][row, :length]))
        yield utterance_id, by_layer


def _check_length(upstream: Upstream, utterance_id: str, length: int, *, num_samples: int) -> None:
    shift = upstream.frame_shift_samples
    promised = 1 + (num_samples - frame_samples(upstream)) // shift
    if abs(length - promised) > _MAX_FRAMES_OFF:
        raise ValueError(
            f"utterance {utterance_id}: {type(upstream).__name__} gave {length} frames for "
            f"{num_samples} samples; with one every {shift} samples (its frame_shift_samples) "
            f"about {promised} were expected. Correct the upstream"
        )


def _not_finite(utterance_id: str, layer: int, rows_TD: torch.Tensor) -> str:
    if torch.isfinite(rows_TD).all():
        return (
            f"utterance {utterance_id}: layer {layer} has values up to "
            f"{rows_TD.abs().max().item():.3g}, and shards hold float16, up to 65504; "
            "leave that layer out of features.layers"
        )
    return (
        f"utterance {utterance_id}: layer {layer} is NaN or infinite; look at the audio; if "
        "the upstream computes in float16, let it compute in bfloat16 or float32"
    )


def run_elsewhere(job: str, worker: int, num_workers: int) -> None:
    """`run_worker` in a process of its own: what its machine has decides where it computes."""
    compute.use(Extraction.read(Path(job)).device, "float32")
    run_worker(job, worker, num_workers)


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[4]))
    run_elsewhere(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
