"""Stages `realign_1..N`: a frame classifier and a lexicon correct each other, without labels.

Each round trains a frame classifier on the labels of the round before, scores every frame by
log posterior minus log prior (a scaled likelihood, as in hybrid HMM systems), and takes the best
word sequence of the text's lexicon as the new labels. The classifier averages over all places
where a label was wrong; the lexicon knows which phone sequences exist.
What is left of pauses that were cut is a class of its own, which the search may find between words.
"""

from __future__ import annotations

import json
import logging
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
from unsup_asr.speech.pauses import Pauses, beside_cuts
from unsup_asr.speech.runs import merge_repeats
from unsup_asr.steps.computed import Computed
from unsup_asr.steps.criterion import run_criterion
from unsup_asr.steps.ctc import CHECKPOINT
from unsup_asr.steps.hearing import of_one_vocal_tract, warps_of_features
from unsup_asr.steps.inputs import frame_timing, open_split
from unsup_asr.steps.lexicon_search import lexicon_tree
from unsup_asr.steps.parts import PARTS, kept_blocks
from unsup_asr.types import SPLITS, Float32Array, FrameTiming, Hypothesis, Int32Array

log = logging.getLogger(__name__)

_FEWEST_PAUSED = 200  # frames

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
    pauses = _pauses(context, len(inventory))
    if pauses is not None:
        labels = Computed(labels.ids, partial(pauses.marked, labels))
    num_classes = len(inventory) + (pauses is not None)
    targets = every_nth(labels, list(features), training.stack)
    checkpoint = context.out / CHECKPOINT
    with progress_bar(training.epochs, f"{context.stage} frame classifier") as tick:
        network, curve = training.train_frames(
            features,
            targets,
            num_phones=num_classes,
            warps=warps_of_features(context),
            checkpoint=checkpoint,
            num_processes=context.num_processes,
            progress=tick,
        )
    save_network(network, context.out)
    prior_V = np.ones(num_classes)
    for labels_T in targets.values():
        prior_V += np.bincount(labels_T, minlength=num_classes)
    log_prior_V = np.log(prior_V / prior_V.sum()).astype(np.float32)
    np.save(context.out / "log_prior.npy", log_prior_V, allow_pickle=False)
    (context.out / "curve.json").write_text(json.dumps(curve), "utf-8")
    scaled_log_prior_V = options.prior_scale * log_prior_V
    search = _Search.of(context, inventory, network, scaled_log_prior_V, pauses)
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
class _CutPauses:
    """Where training speech had a pause that was cut: frames labelled `label`, as no phone is."""

    options: Pauses
    kept: RaggedArray
    keep_frames: int
    label: int

    def marked(self, labels: Mapping[str, Int32Array], utterance_id: str) -> Int32Array:
        """The labels of an utterance, its pauses among them."""
        labels_K = np.array(labels[utterance_id])
        labels_K[beside_cuts(np.asarray(self.kept[utterance_id]), self.keep_frames)] = self.label
        return labels_K


def _pauses(context: StageContext, label: int) -> _CutPauses | None:
    """None where the recipe wants none, or too few are left of them to learn from."""
    if context.config.realign.pauses is None:
        return None
    keep_frames = getattr(instantiate(context.config.features.silence), "keep_frames", 0)
    kept = open_split(context, "features", "kept", "train")
    num_frames = sum(int(beside_cuts(np.asarray(x), keep_frames).sum()) for x in kept.values())
    if num_frames < _FEWEST_PAUSED:
        log.info("%d frames are left of pauses that were cut: pauses are no class", num_frames)
        return None
    return _CutPauses(instantiate(context.config.realign.pauses), kept, keep_frames, label)


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
        pauses: _CutPauses | None,
    ) -> _Search:
        aligner: Aligner = instantiate(context.config.realign.aligner)
        share = None if pauses is None else pauses.options.share
        tree = lexicon_tree(context, aligner, inventory, pause_share=share)
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
                heard = merge_repeats(posteriors[i].argmax(axis=1))
                greedy.append(i, heard[heard < len(self.inventory)])
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
        confidences = np.array([np.exp(chosen_T[a:b].mean()) for a, b in pairwise(edges)])
        is_phone = found.phones < len(self.inventory)  # not a pause
        named = [self.inventory[p] for p in found.phones[is_phone]]
        stacked = np.append(found.starts[is_phone], num_frames) * self.network.shape.stack
        sure = confidences[is_phone].tolist()
        return timed(utterance_id, named, stacked, frames_K, timing, sure)
