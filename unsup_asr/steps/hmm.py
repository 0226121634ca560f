"""Stages `hmm_1..N`: a GMM-HMM on the labels of a game, and the boundaries for the next one.

Chen et al. 2019 alternate between the adversarial game and an HMM: the game names segments, the
HMM learns from those names, hears the speech anew with what the text allows, and its forced
alignment cuts the speech into the segments of the next game.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from unsup_asr.acoustic.hmm import HMMTraining, PhoneHMM
from unsup_asr.acoustic.posteriors import id_blocks
from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.hypotheses import write_hypotheses
from unsup_asr.formats.phone_text import read_inventory
from unsup_asr.formats.ragged import RaggedWriter
from unsup_asr.progress import note, progress_bar
from unsup_asr.protocols import Aligner, FrameAlignment
from unsup_asr.recognise.timing import timed
from unsup_asr.speech.runs import merge_repeats
from unsup_asr.steps.criterion import run_criterion
from unsup_asr.steps.inputs import frame_timing, open_split
from unsup_asr.steps.lexicon_search import lexicon_tree
from unsup_asr.types import SPLITS, Float32Array, Hypothesis, Int32Array

log = logging.getLogger(__name__)


def run_hmm(context: StageContext) -> None:
    """Rounds of training and decoding; writes the model, `labels`, `boundaries`, hypotheses."""
    options = context.config.realign
    training: HMMTraining = instantiate(options.training)
    inventory = read_inventory(context.input("text").file("inventory.json"))
    recogniser = _Recogniser.of(context, inventory)
    train = open_split(context, "features", "acoustic", "train")
    given = open_split(context, "choice", "labels", "train")
    labels = {i: np.array(given[i]) for i in train}
    curve: list[float] = []

    def one_round(labels: Mapping[str, Int32Array]) -> tuple[PhoneHMM, _Heard]:
        model, likelihoods = training.train(train, labels, phones=inventory)
        for likelihood in likelihoods:
            curve.append(likelihood)
            note("loss", len(curve), likelihood)
        log.info("log likelihood of a frame: %.3f", likelihoods[-1])
        return model, recogniser.hear(model, train, "train")

    model, heard = one_round(labels)
    for _ in range(options.num_rounds - 1):
        model, heard = one_round(heard.labels(train))
    model.save(context.out)
    (context.out / "curve.json").write_text(json.dumps(curve), "utf-8")
    with RaggedWriter(context.out / "labels" / "train", dtype="int32") as writer:
        for utterance_id, frame_phones_T in heard.labels(train).items():
            writer.append(utterance_id, frame_phones_T)
    _write_alignments(context, "train", heard, inventory)
    run_criterion(context, [[inventory[p] for p in phones] for phones in heard.unconstrained])
    for split in SPLITS:
        if split != "train":
            speech = open_split(context, "features", "acoustic", split)
            _write_alignments(context, split, recogniser.hear(model, speech, split), inventory)


@dataclass(frozen=True)
class _Heard:
    """What an HMM and the text's lexicon made of speech."""

    phones: dict[str, Int32Array]
    starts: dict[str, Int32Array]  # first frame of each phone
    unconstrained: list[Int32Array]  # by the acoustics alone, repeats once

    def labels(self, features: Mapping[str, Float32Array]) -> dict[str, Int32Array]:
        """The phone at every frame."""
        return {
            i: np.repeat(phones, np.diff(np.append(self.starts[i], len(features[i]))))
            for i, phones in self.phones.items()
        }


@dataclass(frozen=True)
class _Recogniser:
    """Words of the text's lexicon, searched for in an HMM's scores."""

    aligner: Aligner
    tree: object
    stack: int  # frames whose scores are summed for the search
    stage: str
    num_threads: int

    @classmethod
    def of(cls, context: StageContext, inventory: list[str]) -> _Recogniser:
        options = context.config.realign
        aligner: Aligner = instantiate(options.aligner)
        tree = lexicon_tree(context, aligner, inventory, pause_share=None)
        return cls(aligner, tree, options.stack, context.stage, context.num_threads)

    def hear(self, model: PhoneHMM, features: Mapping[str, Float32Array], split: str) -> _Heard:
        """Block by block of utterances: scores of all frames would not fit into memory."""
        heard = _Heard({}, {}, [])
        with progress_bar(len(features), f"{self.stage} decode {split}") as tick:
            for ids in id_blocks(features):
                self._hear_block(model, {i: features[i] for i in ids}, heard, tick)
        return heard

    def _hear_block(
        self,
        model: PhoneHMM,
        features: Mapping[str, Float32Array],
        heard: _Heard,
        tick: Callable[[], None],
    ) -> None:
        scores = model.phone_scores(features)
        stacked = {
            i: np.add.reduceat(score_TV, np.arange(0, len(score_TV), self.stack), axis=0)
            for i, score_TV in scores.items()
        }
        found = self.aligner.decode(self.tree, stacked, num_threads=self.num_threads, progress=tick)
        starts = _aligned(model, features, found, self.stack)
        for i in found:
            heard.phones[i] = found[i].phones
            heard.starts[i] = starts[i]
            best = np.add.reduceat(scores[i], starts[i], axis=0).argmax(axis=1)
            heard.unconstrained.append(merge_repeats(best.astype(np.int32)))


def _aligned(
    model: PhoneHMM,
    features: Mapping[str, Float32Array],
    found: Mapping[str, FrameAlignment],
    stack: int,
) -> dict[str, Int32Array]:
    """First frame of each decoded phone, aligned anew to single frames.

    Where an utterance is too short for its phones' states, as it was decoded.
    """
    phones = {i: alignment.phones for i, alignment in found.items()}
    places = {i: len(model.map.chain(p)[0]) for i, p in phones.items()}
    fits = {i: p for i, p in phones.items() if 0 < places[i] <= len(features[i])}
    starts = model.align(features, fits)
    for i in found.keys() - fits.keys():
        starts[i] = (found[i].starts * stack).astype(np.int32)
    return {i: starts[i] for i in found}


def _write_alignments(
    context: StageContext,
    split: str,
    heard: _Heard,
    inventory: list[str],
) -> None:
    """`boundaries/<split>` in frames and `hypotheses/<split>.tsv` in seconds."""
    timing = frame_timing(context)
    kept = open_split(context, "features", "kept", split)
    hypotheses: list[Hypothesis] = []
    with RaggedWriter(context.out / "boundaries" / split, dtype="int32") as writer:
        for utterance_id, phones in heard.phones.items():
            frames = np.array(kept[utterance_id])
            edges = np.append(heard.starts[utterance_id], len(frames)).astype(np.int32)
            writer.append(utterance_id, edges)
            named = [inventory[p] for p in phones]
            hypotheses.append(timed(utterance_id, named, edges, frames, timing))
    write_hypotheses(context.out / "hypotheses" / f"{split}.tsv", hypotheses)
