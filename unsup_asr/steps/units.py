"""Stages `segments` and `units`: from frames to a sequence of cluster ids."""

from __future__ import annotations

import logging

import numpy as np

from unsup_asr.config import instantiate
from unsup_asr.progress import progress
from unsup_asr.protocols import Clusterer, Pooling, Segmenter
from unsup_asr.ragged import RaggedWriter
from unsup_asr.stages import StageContext
from unsup_asr.steps.data import SPLITS, open_split

log = logging.getLogger(__name__)


def run_segments(context: StageContext) -> None:
    """Fit the segmenter on training frames; write the boundaries of every split."""
    segmenter: Segmenter = instantiate(context.config.segmentation.segmenter)
    segmenter.fit(open_split(context, "features", "boundary", "train"))
    for split in SPLITS:
        frames = open_split(context, "features", "boundary", split)
        with RaggedWriter(context.out / "boundaries" / split, dtype="int32") as writer:
            for utterance_id in progress(frames.ids, f"segments {split}"):
                writer.append(utterance_id, segmenter.boundaries(np.array(frames[utterance_id])))
    segmenter.save(context.out / "model")


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
