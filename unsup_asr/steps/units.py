"""Stages `segments` and `units`: from frames to a sequence of cluster ids."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

import numpy as np
from omegaconf import OmegaConf

from unsup_asr.config import instantiate
from unsup_asr.phone_text import read_phone_sentences
from unsup_asr.progress import progress
from unsup_asr.protocols import Clusterer, Pooling, Segmenter
from unsup_asr.ragged import RaggedWriter
from unsup_asr.stages import StageContext
from unsup_asr.steps.data import SPLITS, open_split
from unsup_asr.types import Int64Array, Seconds

log = logging.getLogger(__name__)


def run_segments(context: StageContext) -> None:
    """Fit the segmenter on training frames; write the boundaries of every split."""
    options = context.config.segmentation
    train = open_split(context, "features", "boundary", "train")
    node = OmegaConf.to_container(options.segmenter, resolve=True)
    assert isinstance(node, dict)
    if options.segments_per_phone is not None:
        timing = json.loads(context.input("features").file("timing.json").read_text("utf-8"))
        sentences = read_phone_sentences(context.input("text").file("phones.txt"))
        rate = options.segments_per_phone * expected_phones_per_second(
            sentences, train.lengths, frame_shift_s=timing["frame_shift_s"]
        )
        log.info("%.2f segments a second, from the lengths of sentences and utterances", rate)
        node["picking"] = {**node.get("picking", {}), "segments_per_second": rate}
    segmenter: Segmenter = instantiate(OmegaConf.create(node))
    segmenter.fit(train)
    for split in SPLITS:
        frames = open_split(context, "features", "boundary", split)
        with RaggedWriter(context.out / "boundaries" / split, dtype="int32") as writer:
            for utterance_id in progress(frames.ids, f"segments {split}"):
                writer.append(utterance_id, segmenter.boundaries(np.array(frames[utterance_id])))
    segmenter.save(context.out / "model")


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
    """Pool the frames of each segment, cluster the segments; write `pooled` and `clusters`."""
    pooling: Pooling = instantiate(context.config.segmentation.pooling)
    clusterer: Clusterer = instantiate(context.config.segmentation.clusterer)
    for split in SPLITS:
        frames = open_split(context, "features", "cluster", split)
        boundaries = open_split(context, "segments", "boundaries", split)
        pooled = {i: pooling.pool(np.array(frames[i]), np.array(boundaries[i])) for i in frames}
        if split == "train":
            clusterer.fit(np.concatenate(list(pooled.values())))
        with (
            RaggedWriter(context.out / "pooled" / split) as pooled_writer,
            RaggedWriter(context.out / "clusters" / split, dtype="int32") as cluster_writer,
        ):
            for utterance_id, rows_SD in pooled.items():
                pooled_writer.append(utterance_id, rows_SD)
                cluster_writer.append(utterance_id, clusterer.assign(rows_SD))
    clusterer.save(context.out / "model")
    np.save(context.out / "centroids.npy", clusterer.fitted_centroids(), allow_pickle=False)
