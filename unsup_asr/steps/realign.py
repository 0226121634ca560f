"""Stages `realign_1..N`: a frame classifier and a lexicon correct each other, without labels.

Each round trains a frame classifier on the labels of the round before, scores every frame by
log posterior minus log prior (a scaled likelihood, as in hybrid HMM systems), and takes the best
word sequence of the text's lexicon as the new labels. The classifier averages over all places
where a label was wrong; the lexicon knows which phone sequences exist.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from unsup_asr.acoustic.network import save_network
from unsup_asr.acoustic.posteriors import log_posteriors
from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.hypotheses import write_hypotheses
from unsup_asr.formats.phone_text import read_inventory
from unsup_asr.formats.ragged import RaggedArray, RaggedWriter
from unsup_asr.progress import progress_bar
from unsup_asr.protocols import Aligner, FrameAlignment
from unsup_asr.recognise.timing import timed
from unsup_asr.speech.runs import merge_repeats
from unsup_asr.steps.criterion import run_criterion
from unsup_asr.steps.ctc import CHECKPOINT
from unsup_asr.steps.inputs import frame_timing, open_split
from unsup_asr.steps.lexicon_search import align_words, lexicon_tree
from unsup_asr.types import Float32Array, Hypothesis, Int32Array


def run_realign(context: StageContext, *, labels_from: str) -> None:
    """One round; writes `labels/train` (one phone id an input frame), network and hypotheses."""
    options = context.config.realign
    training = instantiate(options.training)
    aligner: Aligner = instantiate(options.aligner)
    inventory = read_inventory(context.input("text").file("inventory.json"))
    tree = lexicon_tree(context, aligner, inventory)
    features = open_split(context, "features", "acoustic", "train")
    labels = open_split(context, labels_from, "labels", "train")
    targets = {i: every_nth(np.array(labels[i]), training.stack) for i in features}
    checkpoint = context.out / CHECKPOINT
    with progress_bar(training.epochs, f"{context.stage} frame classifier") as tick:
        network, curve = training.train_frames(
            features,
            targets,
            num_phones=len(inventory),
            checkpoint=checkpoint,
            num_processes=context.num_processes,
            progress=tick,
        )
    save_network(network, context.out)
    prior_V = np.bincount(np.concatenate(list(targets.values())), minlength=len(inventory)) + 1.0
    log_prior_V = np.log(prior_V / prior_V.sum()).astype(np.float32)
    np.save(context.out / "log_prior.npy", log_prior_V, allow_pickle=False)
    (context.out / "curve.json").write_text(json.dumps(curve), "utf-8")

    for split in ("train", "dev", "test"):
        frames = open_split(context, "features", "acoustic", split)
        posteriors = log_posteriors(network, frames)
        scores = {i: p - options.prior_scale * log_prior_V for i, p in posteriors.items()}
        alignments = align_words(
            aligner,
            tree,
            scores,
            num_threads=context.num_threads,
            title=f"{context.stage} align {split}",
        )
        if split == "train":
            with RaggedWriter(context.out / "labels" / "train", dtype="int32") as writer:
                for utterance_id, found in alignments.items():
                    spread = np.repeat(found.frame_phones_T, training.stack)
                    writer.append(utterance_id, spread[: len(features[utterance_id])])
            greedy = [merge_repeats(p.argmax(axis=1)) for p in posteriors.values()]
            run_criterion(context, [[inventory[p] for p in ids] for ids in greedy])
        _write_alignments(context, split, alignments, posteriors, inventory, training.stack)
    checkpoint.unlink()


def every_nth(labels_T: Int32Array, stack: int) -> Int32Array:
    """The label in the middle of each group of `stack` frames: ceil(T / stack) of them."""
    centres = np.arange(0, len(labels_T), stack) + (stack - 1) // 2
    return labels_T[np.minimum(centres, len(labels_T) - 1)]


def _write_alignments(
    context: StageContext,
    split: str,
    alignments: Mapping[str, FrameAlignment],
    posteriors: Mapping[str, Float32Array],
    inventory: list[str],
    stack: int,
) -> None:
    timing = frame_timing(context)
    kept: RaggedArray = open_split(context, "features", "kept", split)
    hypotheses: list[Hypothesis] = []
    for utterance_id, found in alignments.items():
        num_frames = len(found.frame_phones_T)
        edges = np.append(found.starts, num_frames) * stack
        named = [inventory[p] for p in found.phones]
        chosen_T = posteriors[utterance_id][np.arange(num_frames), found.frame_phones_T]
        confidences = [
            float(np.exp(chosen_T[a:b].mean()))
            for a, b in zip(found.starts, np.append(found.starts[1:], num_frames), strict=True)
        ]
        frames_K = np.asarray(kept[utterance_id])
        hypotheses.append(timed(utterance_id, named, edges, frames_K, timing, confidences))
    write_hypotheses(context.out / "hypotheses" / f"{split}.tsv", hypotheses)
