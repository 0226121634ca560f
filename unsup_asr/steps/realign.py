"""Stages `realign_1..N`: a frame classifier and a lexicon correct each other, without labels.

Each round trains a frame classifier on the labels of the round before, scores every frame by
log posterior minus log prior (a scaled likelihood, as in hybrid HMM systems), and takes the best
word sequence of the text's lexicon as the new labels. The classifier averages over all places
where a label was wrong; the lexicon knows which phone sequences exist.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from unsup_asr.acoustic.network import AcousticNetwork, save_network
from unsup_asr.acoustic.posteriors import log_posteriors
from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.digests import digest_files
from unsup_asr.formats.hypotheses import read_hypotheses, write_hypotheses
from unsup_asr.formats.phone_text import read_inventory
from unsup_asr.formats.ragged import RaggedArray, RaggedWriter
from unsup_asr.progress import progress_bar
from unsup_asr.protocols import Aligner, FrameAlignment
from unsup_asr.recognise.timing import timed
from unsup_asr.speech.runs import merge_repeats
from unsup_asr.steps.computed import Computed
from unsup_asr.steps.criterion import run_criterion
from unsup_asr.steps.ctc import CHECKPOINT
from unsup_asr.steps.hearing import of_one_vocal_tract, warps_of_features
from unsup_asr.steps.inputs import frame_timing, open_split
from unsup_asr.steps.lexicon_search import lexicon_tree
from unsup_asr.steps.parts import PARTS, kept_blocks
from unsup_asr.types import SPLITS, Float32Array, FrameTiming, Hypothesis, Int32Array

# Of a block of utterances.
LABELS = "labels"
GREEDY = "greedy"
HYPOTHESES = "hypotheses.tsv"


def run_realign(context: StageContext, *, labels_from: str) -> None:
    """One round; writes `labels/train` (one phone id an input frame), network and hypotheses.

    Goes on where an earlier try ended: training at its last epoch, the search at its last block.
    """
    options = context.config.realign
    training = instantiate(options.training)
    inventory = read_inventory(context.input("text").file("inventory.json"))
    features = of_one_vocal_tract(context, "train")
    labels = open_split(context, labels_from, "labels", "train")
    targets = every_nth(labels, list(features), training.stack)
    checkpoint = context.out / CHECKPOINT
    with progress_bar(training.epochs, f"{context.stage} frame classifier") as tick:
        network, curve = training.train_frames(
            features,
            targets,
            num_phones=len(inventory),
            warps=warps_of_features(context),
            checkpoint=checkpoint,
            num_processes=context.num_processes,
            progress=tick,
        )
    save_network(network, context.out)
    prior_V = np.ones(len(inventory))
    for labels_T in targets.values():
        prior_V += np.bincount(labels_T, minlength=len(inventory))
    log_prior_V = np.log(prior_V / prior_V.sum()).astype(np.float32)
    np.save(context.out / "log_prior.npy", log_prior_V, allow_pickle=False)
    (context.out / "curve.json").write_text(json.dumps(curve), "utf-8")
    search = _Search.of(context, inventory, network, options.prior_scale * log_prior_V)
    for split in SPLITS:
        blocks = search.blocks(split)
        hypotheses = (h for block in blocks for h in read_hypotheses(block / HYPOTHESES))
        write_hypotheses(context.out / "hypotheses" / f"{split}.tsv", hypotheses)
        if split == "train":
            with RaggedWriter(context.out / "labels" / split, dtype="int32") as writer:
                for block in blocks:
                    for utterance_id, labels_T in RaggedArray.open(block / LABELS).items():
                        writer.append(utterance_id, labels_T)
            greedy = (ids for b in blocks for ids in RaggedArray.open(b / GREEDY).values())
            run_criterion(context, [[inventory[p] for p in ids] for ids in greedy])
    shutil.rmtree(context.out / PARTS)
    checkpoint.unlink()


def every_nth(
    labels: Mapping[str, Int32Array], ids: Sequence[str], stack: int
) -> Computed[Int32Array]:
    """Of each utterance the label in the middle of each group of `stack` frames, ceil(T / stack) of
    them; read when asked for.
    """
    return Computed(ids, partial(_middles, labels, stack))


def _middles(labels: Mapping[str, Int32Array], stack: int, utterance_id: str) -> Int32Array:
    labels_T = labels[utterance_id]
    centres = np.arange(0, len(labels_T), stack) + (stack - 1) // 2
    return np.array(labels_T[np.minimum(centres, len(labels_T) - 1)])


@dataclass(frozen=True)
class _Search:
    """The best words of the text's lexicon, block by block; memory does not grow with the hours."""

    context: StageContext
    inventory: list[str]
    network: AcousticNetwork
    scaled_log_prior_V: Float32Array
    aligner: Aligner
    tree: object
    parts: Path

    @classmethod
    def of(
        cls,
        context: StageContext,
        inventory: list[str],
        network: AcousticNetwork,
        scaled_log_prior_V: Float32Array,
    ) -> _Search:
        aligner: Aligner = instantiate(context.config.realign.aligner)
        tree = lexicon_tree(context, aligner, inventory)
        by = digest_files([context.out / name for name in ("network.safetensors", "log_prior.npy")])
        parts = context.out / PARTS / "_".join(digest[:12] for digest in by)
        return cls(context, inventory, network, scaled_log_prior_V, aligner, tree, parts)

    def blocks(self, split: str) -> list[Path]:
        """Folders with the hypotheses, the labels and the network's own phones of each block."""
        frames = of_one_vocal_tract(self.context, split)

        def align(ids: Sequence[str], out: Path) -> None:
            self._align(split, {i: frames[i] for i in ids}, out)

        with progress_bar(len(frames), f"{self.context.stage} align {split}") as tick:
            return kept_blocks(self.parts, split, frames, align, tick)

    def _align(self, split: str, frames: Mapping[str, Float32Array], out: Path) -> None:
        posteriors = log_posteriors(self.network, frames)
        scores = {i: p_TV - self.scaled_log_prior_V for i, p_TV in posteriors.items()}
        found = self.aligner.decode(self.tree, scores, num_threads=self.context.num_threads)
        stack = self.network.shape.stack
        with (
            RaggedWriter(out / LABELS, dtype="int32") as labels,
            RaggedWriter(out / GREEDY, dtype="int32") as greedy,
        ):
            for i, alignment in found.items():
                spread_T = np.repeat(alignment.frame_phones_T, stack)
                labels.append(i, spread_T[: len(frames[i])])
                greedy.append(i, merge_repeats(posteriors[i].argmax(axis=1)))
        timing = frame_timing(self.context)
        kept_frames = open_split(self.context, "features", "kept", split)
        write_hypotheses(
            out / HYPOTHESES,
            (
                self._hypothesis(i, found[i], posteriors[i], np.asarray(kept_frames[i]), timing)
                for i in found
            ),
        )

    def _hypothesis(
        self,
        utterance_id: str,
        found: FrameAlignment,
        log_posteriors_TV: Float32Array,
        frames_K: Int32Array,
        timing: FrameTiming,
    ) -> Hypothesis:
        num_frames = len(found.frame_phones_T)
        edges = np.append(found.starts, num_frames)
        chosen_T = log_posteriors_TV[np.arange(num_frames), found.frame_phones_T]
        confidences = [float(np.exp(chosen_T[a:b].mean())) for a, b in pairwise(edges)]
        named = [self.inventory[p] for p in found.phones]
        stacked = edges * self.network.shape.stack
        return timed(utterance_id, named, stacked, frames_K, timing, confidences)
