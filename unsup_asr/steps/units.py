"""Stages `segments`, `units`, `units_2`: from frames to a sequence of cluster ids."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence

import numpy as np
from omegaconf import OmegaConf

from unsup_asr.acoustic.network import load_network, log_posteriors
from unsup_asr.config import instantiate
from unsup_asr.phone_text import read_phone_sentences
from unsup_asr.progress import progress
from unsup_asr.protocols import Clusterer, Pooling, Segmenter
from unsup_asr.ragged import RaggedWriter
from unsup_asr.stages import StageContext
from unsup_asr.steps.data import SPLITS, open_split
from unsup_asr.types import Float32Array, Int64Array, Seconds

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
    _cluster_segments(context, {s: _frames(context, s) for s in SPLITS})


def run_units_again(context: StageContext, *, network_from: str) -> None:
    """As `run_units`, on features beside the square roots of a network's phone posteriors.

    The network has heard each sound in all its contexts and voices: even where its phones are
    wrong, segments that it takes for the same phone belong together, so the new clusters are
    purer, and matching them anew corrects phones that were wrong everywhere.
    """
    network = load_network(context.input(network_from).file("network.json").parent)
    weight = context.config.segmentation.posterior_weight
    frames: dict[str, dict[str, Float32Array]] = {}
    for split in SPLITS:
        acoustic = open_split(context, "features", "acoustic", split)
        posteriors = log_posteriors(network, acoustic)
        frames[split] = {
            i: np.concatenate(
                [x, weight * np.exp(posteriors[i] / 2).repeat(network.shape.stack, 0)[: len(x)]],
                axis=1,
            )
            for i, x in _frames(context, split).items()
        }
    _cluster_segments(context, frames)


def _frames(context: StageContext, split: str) -> dict[str, Float32Array]:
    features = open_split(context, "features", "cluster", split)
    return {i: np.array(features[i]) for i in features}


def _cluster_segments(
    context: StageContext, frames: Mapping[str, Mapping[str, Float32Array]]
) -> None:
    pooling: Pooling = instantiate(context.config.segmentation.pooling)
    clusterer: Clusterer = instantiate(context.config.segmentation.clusterer)
    for split in SPLITS:
        boundaries = open_split(context, "segments", "boundaries", split)
        pooled = {i: pooling.pool(x, np.array(boundaries[i])) for i, x in frames[split].items()}
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
