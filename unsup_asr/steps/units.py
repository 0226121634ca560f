"""Stages `segments`, `units`, `units_2`: from frames to a sequence of cluster ids."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np
from omegaconf import DictConfig

from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.phone_text import read_inventory, read_phone_sentences
from unsup_asr.formats.ragged import RaggedArray, RaggedWriter
from unsup_asr.progress import progress
from unsup_asr.protocols import AdjacentPooling, Clusterer, Pooling, Segmenter
from unsup_asr.steps.evidence import segment_evidence
from unsup_asr.steps.inputs import frame_timing, open_segments, open_split
from unsup_asr.types import SPLITS, Float32Array, Int64Array, Seconds

log = logging.getLogger(__name__)

RATE = "segments_per_second"  # of a segmenter that can be asked for one


def run_segments(context: StageContext) -> None:
    """Fit the segmenter on training frames; write the `boundaries` of every split.

    Where neighbouring segments are joined, `runs` has those before that.
    """
    options = context.config.segmentation
    train = open_split(context, "features", "boundary", "train")
    segmenter: Segmenter = instantiate(options.segmenter)
    if options.segments_per_phone is not None:
        sentences = read_phone_sentences(context.input("text").file("phones.txt"))
        expected = expected_phones_per_second(
            sentences, train.lengths, frame_shift_s=frame_timing(context).shift_s
        )
        ask_for_rate(segmenter, options.segments_per_phone, phones_per_second=expected)
    segmenter.fit(train, frame_timing(context))
    adjacent = adjacent_pooling(options)
    found = "boundaries" if adjacent is None else "runs"
    for split in SPLITS:
        frames = open_split(context, "features", "boundary", split)
        with RaggedWriter(context.out / found / split, dtype="int32") as writer:
            for utterance_id, x_TD in progress(frames.items(), f"segments {split}"):
                rows_TD = np.array(x_TD, dtype=np.float32)
                writer.append(utterance_id, segmenter.boundaries(rows_TD))
        if adjacent is not None:
            runs = RaggedArray.open(context.out / found / split)
            with RaggedWriter(context.out / "boundaries" / split, dtype="int32") as writer:
                for utterance_id, boundaries in runs.items():
                    writer.append(utterance_id, adjacent.boundaries(np.array(boundaries)))
    segmenter.save(context.out / "model")


def ask_for_rate(segmenter: Segmenter, per_phone: float, *, phones_per_second: float) -> None:
    """Set so many segments a phone; ValueError where that would not be used."""
    if not hasattr(segmenter, RATE):
        raise ValueError(
            f"segmentation.segments_per_phone is {per_phone}, but {type(segmenter).__name__} finds "
            "its own rate of segments: set segmentation.segments_per_phone=null"
        )
    if (given := getattr(segmenter, RATE)) is not None:
        raise ValueError(
            f"segmentation.segments_per_phone is {per_phone} and segmentation.segmenter.{RATE} "
            f"{given}: two rates of segments. Set one of them to null"
        )
    rate = per_phone * phones_per_second
    log.info("%.2f segments a second, %.2f phones", rate, phones_per_second)
    setattr(segmenter, RATE, rate)


def adjacent_pooling(segmentation: DictConfig) -> AdjacentPooling | None:
    """What joins neighbouring segments into one, where the recipe has such a step."""
    node = segmentation.get("adjacent_pooling")
    return None if node is None else instantiate(node)


def expected_phones_per_second(
    sentences: Sequence[Sequence[tuple[str, ...]]],
    num_frames: Int64Array,
    *,
    frame_shift_s: Seconds,
) -> float:
    """Mean phones of a sentence over mean seconds of an utterance, long silences cut.

    Right where the text is of the same kind as the speech; where its sentences are longer or
    shorter than utterances, set the rate in the recipe instead.
    """
    phones = np.mean([sum(len(word) for word in sentence) for sentence in sentences])
    return float(phones / (np.mean(num_frames) * frame_shift_s))


def run_units(context: StageContext) -> None:
    """Pool the frames of each segment, cluster the segments; write `pooled` and `clusters`.

    Each only where the recipe has a pooling, and a clusterer.
    """
    is_pooled = context.config.segmentation.pooling is not None
    _cluster_segments(context, partial(_frames, context) if is_pooled else None)


def run_units_heard(context: StageContext, *, network_from: str) -> None:
    """As `run_units`, on pooled features beside the square roots of a network's evidence of each
    segment: how sure it is of each phone where it is surest.
    """
    network, weight = context.input(network_from), context.config.start.evidence_weight
    inventory = read_inventory(context.input("text").file("inventory.json"))

    def beside(split: str) -> Callable[[str, Float32Array], Float32Array]:
        evidence = segment_evidence(
            network,
            open_split(context, "features", "acoustic", split),
            open_split(context, "segments", "boundaries", split),
            num_phones=len(inventory),
            out=context.out / "evidence" / split,
        )
        return lambda i, rows_SD: np.concatenate([rows_SD, weight * np.sqrt(evidence[i])], axis=1)

    _cluster_segments(context, partial(_frames, context), beside)
    shutil.rmtree(context.out / "evidence")  # the columns of `pooled` are made of it


def _frames(context: StageContext, split: str) -> Iterator[tuple[str, Float32Array]]:
    for i, x_TD in open_split(context, "features", "cluster", split).items():
        yield i, np.array(x_TD, dtype=np.float32)


def _cluster_segments(
    context: StageContext,
    frames: Callable[[str], Iterable[tuple[str, Float32Array]]] | None,
    beside: Callable[[str], Callable[[str, Float32Array], Float32Array]] | None = None,
) -> None:
    """Utterance by utterance; of all of them together, the clusterer reads what it asks for.

    `frames`: what is pooled, None where each frame of the features is a segment as it is. `beside`:
    by split, what puts more columns to the pooled segments of an utterance.
    """
    options = context.config.segmentation
    clusterer: Clusterer | None = options.clusterer and instantiate(options.clusterer)
    for split in SPLITS:
        if frames is None:
            rows = open_segments(context, split)
        else:
            _write_pooled(context, split, frames(split), beside and beside(split))
            rows = RaggedArray.open(context.out / "pooled" / split)
        if clusterer is None:
            continue
        if split == "train":
            clusterer.fit(rows.values_array)
        with RaggedWriter(context.out / "clusters" / split, dtype="int32") as cluster_writer:
            for i, rows_SD in rows.items():
                cluster_writer.append(i, clusterer.assign(np.array(rows_SD, dtype=np.float32)))
    if clusterer is None:
        return
    clusterer.save(context.out / "model")
    np.save(context.out / "centroids.npy", clusterer.fitted_centroids(), allow_pickle=False)


def _write_pooled(
    context: StageContext,
    split: str,
    frames: Iterable[tuple[str, Float32Array]],
    beside: Callable[[str, Float32Array], Float32Array] | None,
) -> None:
    options = context.config.segmentation
    pooling: Pooling | None = options.pooling and instantiate(options.pooling)
    has_runs = context.input("segments").has(f"runs/{split}/values.npy")  # not so of an HMM's
    adjacent = adjacent_pooling(options) if has_runs else None
    boundaries_of = "boundaries" if adjacent is None else "runs"
    boundaries = open_split(context, "segments", boundaries_of, split)
    with RaggedWriter(context.out / "pooled" / split) as writer:
        for i, x_TD in frames:
            rows_SD = x_TD if pooling is None else pooling.pool(x_TD, np.array(boundaries[i]))
            rows_SD = rows_SD if adjacent is None else adjacent.pool(rows_SD)
            writer.append(i, rows_SD if beside is None else beside(i, rows_SD))
