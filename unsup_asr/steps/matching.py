"""Stages `matching` and `choice`: a first phone for every segment, without labels."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence

import numpy as np

from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.checked import read_array
from unsup_asr.formats.hypotheses import read_hypotheses, write_hypotheses
from unsup_asr.formats.ragged import RaggedArray, RaggedWriter
from unsup_asr.progress import progress_bar
from unsup_asr.protocols import EvidenceMatcher, Matcher, MatchingResult, TextChannel
from unsup_asr.speech.runs import merge_repeats
from unsup_asr.steps.computed import Computed
from unsup_asr.steps.criterion import read_criterion
from unsup_asr.steps.evidence import segment_evidence
from unsup_asr.steps.inputs import open_split, text_ids
from unsup_asr.steps.segment_output import write_segment_posteriors
from unsup_asr.types import SPLITS, Float32Array, Int32Array

log = logging.getLogger(__name__)

_EVIDENCE = "evidence"  # a folder that is gone when the stage is done
_LEAST_EVIDENCE = 0.02  # of a phone that was not heard at all
SPOKEN_SEGMENTS = "spoken_segments"  # read where the recipe's matching has a channel


def run_matching(context: StageContext, *, heard_by: str | None = None) -> None:
    """Match skip-bigram statistics; write the table, curves, phones of segments and hypotheses.

    `heard_by`: the stage whose network says what the segments sound like, where matching is to
    start from that (`start.matcher`) and not from nothing.
    """
    options = context.config.matching
    text, inventory = text_ids(context)
    clusters = open_split(context, "units", "clusters", "train")
    cut = [np.array(clusters[i]) for i in clusters]
    # A long consonant that the text writes twice is one sound, and one segment.
    text = [merge_repeats(sentence) for sentence in text]
    merged = [merge_repeats(c) for c in cut]
    rate = np.mean([len(c) for c in merged]) / np.mean([len(s) for s in text])
    if SPOKEN_SEGMENTS in context.artifacts:
        text = _through_channel(context, text)
    else:
        cut = merged
        if options.duplicate_text:
            rng = np.random.default_rng(context.seed)
            text = [duplicate_phones(s, max(0.0, float(rate) - 1.0), rng) for s in text]
    evidence: Mapping[str, RaggedArray] | None = None
    if heard_by is None:
        found = _from_nothing(context, cut, text, num_phones=len(inventory))
    else:
        evidence = {s: _evidence(context, heard_by, s, len(inventory)) for s in SPLITS}
        found = _from_evidence(context, clusters, text, evidence["train"], len(inventory))
    log.info("losses of the restarts: %s", [round(x, 3) for x in found.losses_R])
    np.save(context.out / "table.npy", found.table_KV, allow_pickle=False)
    report = {
        "losses": found.losses_R,
        "chosen": found.chosen,
        "curves": found.curves_RI,
        "segments_per_text_phone": float(rate),
    }
    (context.out / "matching.json").write_text(json.dumps(report), "utf-8")
    posteriors = {split: _posteriors(context, found.table_KV, split, evidence) for split in SPLITS}
    write_segment_posteriors(context, posteriors)
    shutil.rmtree(context.out / _EVIDENCE, ignore_errors=True)


def _from_nothing(
    context: StageContext,
    clusters: Sequence[Int32Array],
    text: Sequence[Int32Array],
    *,
    num_phones: int,
) -> MatchingResult:
    matcher: Matcher = instantiate(context.config.matching.matcher)
    centroids_KD = read_array(context.input("units").file("centroids.npy"))
    with progress_bar(matcher.num_steps, "matching") as tick:
        return matcher.match(clusters, centroids_KD, text, num_phones=num_phones, progress=tick)


def _from_evidence(
    context: StageContext,
    clusters: RaggedArray,
    text: Sequence[Int32Array],
    evidence: RaggedArray,
    num_phones: int,
) -> MatchingResult:
    """Equal neighbours among the clusters stay two segments, as the channel leaves them."""
    matcher: EvidenceMatcher = instantiate(context.config.start.matcher)
    num_clusters = len(read_array(context.input("units").file("centroids.npy")))
    with progress_bar(matcher.num_steps, "matching") as tick:
        return matcher.match(
            [np.array(clusters[i]) for i in clusters],
            [evidence[i] for i in clusters],
            text,
            num_clusters=num_clusters,
            num_phones=num_phones,
            progress=tick,
        )


def _posteriors(
    context: StageContext,
    table_KV: Float32Array,
    split: str,
    evidence: Mapping[str, RaggedArray] | None,
) -> Computed[Float32Array]:
    """A cluster's phones, times what was heard in the segment itself to a small power."""
    clusters = open_split(context, "units", "clusters", split)
    if evidence is None:
        return Computed(clusters.ids, lambda i: table_KV[np.array(clusters[i])])
    power, heard = context.config.start.agreement, evidence[split]

    def make(utterance_id: str) -> Float32Array:
        heard_SV = (heard[utterance_id] + _LEAST_EVIDENCE) ** power
        product_SV = table_KV[np.array(clusters[utterance_id])] * heard_SV
        return product_SV / product_SV.sum(axis=1, keepdims=True)

    return Computed(clusters.ids, make)


def _evidence(context: StageContext, heard_by: str, split: str, num_phones: int) -> RaggedArray:
    return segment_evidence(
        context.input(heard_by),
        open_split(context, "features", "acoustic", split),
        open_split(context, "segments", "boundaries", split),
        num_phones=num_phones,
        out=context.out / _EVIDENCE / split,
    )


def run_choice(context: StageContext) -> None:
    """Of matching and GAN, labels and hypotheses of the lower unsupervised criterion go on."""
    scores = {name: read_criterion(context.input(name)) for name in ("matching", "gan")}
    chosen = min(scores, key=lambda name: scores[name])
    log.info("chosen %s by the unsupervised criterion: %s", chosen, scores)
    labels = open_split(context, chosen, "labels", "train")
    with RaggedWriter(context.out / "labels" / "train", dtype="int32") as writer:
        for utterance_id in labels:
            writer.append(utterance_id, labels[utterance_id])
    hypotheses = read_hypotheses(context.input(chosen).file("hypotheses/train.tsv"))
    write_hypotheses(context.out / "hypotheses" / "train.tsv", hypotheses)
    (context.out / "choice.json").write_text(
        json.dumps({"chosen": chosen, "criteria": scores}), "utf-8"
    )


def _through_channel(context: StageContext, text: Sequence[Int32Array]) -> list[Int32Array]:
    """The text as the segmenter cuts it, by what it made of spoken sentences of it."""
    channel: TextChannel = instantiate(context.config.matching.channel)
    spoken, numbers = (
        open_split(context, SPOKEN_SEGMENTS, name, "train") for name in ("phones", "num_segments")
    )
    return channel.cut(
        text, [np.array(spoken[i]) for i in spoken], [np.array(numbers[i]) for i in spoken]
    )


def duplicate_phones(ids: Int32Array, rate: float, rng: np.random.Generator) -> Int32Array:
    """Each phone once plus Poisson(rate) times: the text as it would be if cut like the speech."""
    return np.repeat(ids, 1 + rng.poisson(rate, size=len(ids)))
