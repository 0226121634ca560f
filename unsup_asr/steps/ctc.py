"""Stages `self_training_1..N` and `supervised`: one model, on pseudo-labels or on references."""

from __future__ import annotations

import json
import logging
from collections import ChainMap
from collections.abc import Mapping, MutableMapping, Sequence
from functools import partial
from typing import cast

import numpy as np
from omegaconf import OmegaConf

from unsup_asr.acoustic.network import save_network
from unsup_asr.acoustic.objectives import CTC_BLANK
from unsup_asr.acoustic.posteriors import posterior_blocks
from unsup_asr.acoustic.training import NetworkTraining
from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.hypotheses import read_hypotheses, write_hypotheses
from unsup_asr.formats.phone_text import phone_ids, read_inventory
from unsup_asr.progress import progress_bar
from unsup_asr.protocols import PhoneDecoder
from unsup_asr.recognise.phones import decode_utterances, with_files
from unsup_asr.speech.runs import merge_repeats
from unsup_asr.steps.criterion import run_criterion
from unsup_asr.steps.inputs import decoder_file, frame_timing, open_split
from unsup_asr.steps.references import training_targets
from unsup_asr.types import Float32Array, Hypothesis, Int32Array

log = logging.getLogger(__name__)

CHECKPOINT = "training.safetensors"  # there until the stage is done


def run_self_training(context: StageContext, *, labels_from: str, number: int) -> None:
    """Round `number`: train on the hypotheses of the stage before; decode all splits.

    Where a run started from spoken text, some of it stays in the training: its phones are right.
    """
    options = context.config.self_training
    changed = options.first_round if number == 1 else {}
    training = instantiate(OmegaConf.create({**options.training, **changed}))
    inventory = read_inventory(context.input("text").file("inventory.json"))
    pseudo = read_hypotheses(context.input(labels_from).file("hypotheses/train.tsv"))
    targets = {h.utterance_id: phone_ids(h.phones, inventory) for h in pseudo}
    features = open_split(context, "features", "acoustic", "train")
    if "spoken_text" in context.artifacts:
        spoken = open_split(context, "spoken_text", "acoustic", "train")
        said = open_split(context, "spoken_text", "phones", "train")
        num_kept = min(len(spoken), context.config.start.num_kept)
        chosen = np.random.default_rng(context.seed).permutation(spoken.ids)[:num_kept].tolist()
        targets |= {i: said[i] for i in chosen}
        heard = [cast("MutableMapping[str, Float32Array]", x) for x in (features, spoken)]
        features = ChainMap(*heard)
    train_and_decode(context, training, features, targets, ("train", "dev", "test"))


def run_supervised(context: StageContext) -> None:
    """The same model trained on references: what labels are worth on this corpus."""
    training = instantiate(context.config.self_training.training)
    inventory = read_inventory(context.input("text").file("inventory.json"))
    targets = training_targets(context, inventory)
    features = open_split(context, "features", "acoustic", "train")
    train_and_decode(context, training, features, targets, ("dev", "test"))


def train_and_decode(
    context: StageContext,
    training: NetworkTraining,
    features: Mapping[str, Float32Array],
    targets: Mapping[str, Int32Array],
    splits: Sequence[str],
) -> None:
    """Write the network, its curve, hypotheses of `splits` and the criterion of the first."""
    inventory = read_inventory(context.input("text").file("inventory.json"))
    targets = {i: np.asarray(targets[i]) for i in targets if i in features}
    checkpoint = context.out / CHECKPOINT
    with progress_bar(training.epochs, f"{context.stage} CTC") as tick:
        network, curve = training.train_ctc(
            features,
            targets,
            num_phones=len(inventory),
            checkpoint=checkpoint,
            num_processes=context.num_processes,
            progress=tick,
        )
    save_network(network, context.out)
    (context.out / "curve.json").write_text(json.dumps(curve), "utf-8")
    decoder: PhoneDecoder = instantiate(
        with_files(context.config.self_training.decoder, partial(decoder_file, context))
    )
    timing, greedy = frame_timing(context), list[list[str]]()
    for split in splits:
        kept = open_split(context, "features", "kept", split)
        hypotheses: list[Hypothesis] = []
        for block in posterior_blocks(network, open_split(context, "features", "acoustic", split)):
            hypotheses += decode_utterances(
                decoder, block, inventory, stack=training.stack, kept=kept, timing=timing
            )
            if split == splits[0]:
                greedy += [_greedy(p_TV, inventory) for p_TV in block.values()]
        write_hypotheses(context.out / "hypotheses" / f"{split}.tsv", hypotheses)
    run_criterion(context, greedy)
    checkpoint.unlink()


def _greedy(log_posteriors_TV: Float32Array, inventory: Sequence[str]) -> list[str]:
    best = merge_repeats(log_posteriors_TV.argmax(axis=1))
    return [str(inventory[i - 1]) for i in best.tolist() if i != CTC_BLANK]
