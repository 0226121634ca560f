"""Stages `self_training_1..N` and `supervised`: one model, on pseudo-labels or on references.

A small network on features, or (`self_training=finetune`) an upstream fine-tuned on the audio.
"""

from __future__ import annotations

import json
import logging
from collections import ChainMap
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
from omegaconf import DictConfig, OmegaConf

from unsup_asr.acoustic.finetuning import Finetuning
from unsup_asr.acoustic.objectives import CTC_BLANK
from unsup_asr.acoustic.posteriors import log_posteriors, posterior_blocks
from unsup_asr.acoustic.training import NetworkTraining
from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.hypotheses import read_hypotheses, write_hypotheses
from unsup_asr.formats.phone_text import phone_ids, read_inventory
from unsup_asr.progress import progress_bar
from unsup_asr.protocols import PhoneDecoder
from unsup_asr.recognise.acoustic_models import save_model
from unsup_asr.recognise.length_balance import LengthBalance, mean_length
from unsup_asr.recognise.phones import BLANK, decode_utterances, with_files
from unsup_asr.speech.runs import merge_repeats
from unsup_asr.steps.criterion import run_criterion
from unsup_asr.steps.hearing import heard, training_inputs, warps_of_features
from unsup_asr.steps.inputs import decoder_file, open_split, text_ids
from unsup_asr.steps.references import training_targets
from unsup_asr.types import Float32Array, Hypothesis, Int32Array

log = logging.getLogger(__name__)

CHECKPOINT = "training.safetensors"  # there until the stage is done
DECODER_OPTIONS = "decoder.json"  # of a round whose decoder was balanced


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
    features = training_inputs(context, training, "train")
    if "spoken_text" in context.artifacts:
        spoken = open_split(context, "spoken_text", "acoustic", "train")
        said = open_split(context, "spoken_text", "phones", "train")
        num_kept = min(len(spoken), context.config.start.num_kept)
        chosen = np.random.default_rng(context.seed).permutation(spoken.ids)[:num_kept].tolist()
        targets |= {i: said[i] for i in chosen}
        heard = [cast("MutableMapping[str, Float32Array]", x) for x in (features, spoken)]
        features = ChainMap(*heard)
    balance = context.config.self_training.balance
    train_and_decode(
        context,
        training,
        features,
        targets,
        ("train", "dev", "test"),
        balance=None if balance is None else instantiate(balance),
    )


def run_supervised(context: StageContext) -> None:
    """The same model trained on references: what labels are worth on this corpus."""
    training = instantiate(context.config.self_training.training)
    inventory = read_inventory(context.input("text").file("inventory.json"))
    targets = training_targets(context, inventory)
    features = training_inputs(context, training, "train")
    train_and_decode(context, training, features, targets, ("dev", "test"))


def train_and_decode(
    context: StageContext,
    training: NetworkTraining | Finetuning,
    features: Any,
    targets: Mapping[str, Int32Array],
    splits: Sequence[str],
    *,
    balance: LengthBalance | None = None,
) -> None:
    """Write the network, its curve, hypotheses of `splits` and the criterion of the first; where
    that is of the training speech, with what is written for dev's speakers, whom it has not heard.

    `balance`: sets a score of the decoder by the first split, and writes it to `decoder.json`.
    """
    inventory = read_inventory(context.input("text").file("inventory.json"))
    network = trained_network(context, training, features, targets, num_outputs=len(inventory))
    save_model(network, context.out, inventory)
    node = with_files(context.config.self_training.decoder, partial(decoder_file, context))
    if balance is not None:
        sample = balance.sample(heard(context, network, splits[0]).inputs)
        node = _balanced(context, node, balance, log_posteriors(network, sample), inventory)
    decoder: PhoneDecoder = instantiate(node)
    greedy: dict[str, list[list[str]]] = {split: [] for split in splits}

    def decoded(split: str) -> Iterator[Hypothesis]:
        audio = heard(context, network, split)
        for block in posterior_blocks(network, audio.inputs):
            yield from decode_utterances(
                decoder,
                block,
                inventory,
                stack=network.stack,
                kept=audio.kept,
                timing=audio.timing,
            )
            greedy[split].extend(_greedy(p_TV, inventory) for p_TV in block.values())

    for split in splits:
        write_hypotheses(context.out / "hypotheses" / f"{split}.tsv", decoded(split))
    held_out = greedy["dev"] if splits[0] == "train" else ()
    run_criterion(context, greedy[splits[0]], held_out=held_out)
    (context.out / CHECKPOINT).unlink()


def trained_network(
    context: StageContext,
    training: NetworkTraining | Finetuning,
    features: Any,
    targets: Mapping[str, Int32Array],
    *,
    num_outputs: int,
) -> Any:
    """The network that learned `targets`, ids from 0, of the utterances that `features` has.

    Writes `curve.json`. Its state is in the file CHECKPOINT, for the next try of a stage that is
    killed before it is done: the stage removes it.
    """
    targets = {i: np.asarray(targets[i]) for i in targets if i in features}
    is_frozen = isinstance(training, NetworkTraining)
    warps = {"warps": warps_of_features(context)} if is_frozen else {}
    with progress_bar(training.num_ticks, f"{context.stage} CTC") as tick:
        network, curve = training.train_ctc(
            features,
            targets,
            num_phones=num_outputs,
            checkpoint=context.out / CHECKPOINT,
            num_processes=context.num_processes,
            progress=tick,
            **warps,
        )
    (context.out / "curve.json").write_text(json.dumps(curve), "utf-8")
    return network


def _balanced(
    context: StageContext,
    node: DictConfig,
    balance: LengthBalance,
    sample: Mapping[str, Float32Array],
    inventory: Sequence[str],
) -> DictConfig:
    """The decoder's options with the score at which it writes as much as the text has."""

    def with_score(score: float) -> DictConfig:
        return OmegaConf.create({**node, **balance.options(score)})

    def length(score: float) -> float:
        decoder: PhoneDecoder = instantiate(with_score(score))
        decoded = decoder.decode_batch(list(sample.values()), [BLANK, *inventory])
        return mean_length([candidates[0].phones for candidates in decoded])

    score = balance.score(length, mean_length(text_ids(context)[0]))
    chosen = json.dumps(balance.options(score))
    (context.out / DECODER_OPTIONS).write_text(chosen, "utf-8")
    return with_score(score)


def _greedy(log_posteriors_TV: Float32Array, inventory: Sequence[str]) -> list[str]:
    best = merge_repeats(log_posteriors_TV.argmax(axis=1))
    return [str(inventory[i - 1]) for i in best.tolist() if i != CTC_BLANK]
