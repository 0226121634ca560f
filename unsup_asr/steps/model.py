"""Stage `model`: the system that goes out."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.checked import read_json_value
from unsup_asr.formats.digests import digest_file
from unsup_asr.recognise.acoustic_models import FINETUNED, model_files
from unsup_asr.recognise.description import DIGESTS, TRAINED
from unsup_asr.recognise.features import STATISTICS
from unsup_asr.recognise.phones import decoder_files
from unsup_asr.steps.criterion import read_criterion_of_length, read_held_out_divergence
from unsup_asr.steps.ctc import DECODER_OPTIONS
from unsup_asr.steps.inputs import decoder_file

log = logging.getLogger(__name__)


def run_model(context: StageContext, *, candidates: Sequence[str]) -> None:
    """Choose a round by `chosen_round`; copy all that `transcribe` needs."""
    criteria = {name: read_criterion_of_length(context.input(name)) for name in candidates}
    held_out = {name: read_held_out_divergence(context.input(name)) for name in candidates}
    chosen = chosen_round(criteria, held_out)
    log.info("the model is %s; criteria: %s; held-out bits: %s", chosen, criteria, held_out)
    folder = context.input(chosen).file(".")
    copies = {name: context.input(chosen).file(name) for name in model_files(folder)}
    is_finetuned = any(name.startswith(FINETUNED) for name in copies)
    copies["inventory.json"] = context.input("text").file("inventory.json")
    decoder = context.config.self_training.decoder
    if context.input(chosen).has(DECODER_OPTIONS):
        balanced = read_json_value(context.input(chosen).file(DECODER_OPTIONS))
        decoder = OmegaConf.create({**decoder, **balanced})
    copies |= {name: decoder_file(context, name) for name in decoder_files(decoder)}
    if not is_finetuned and context.input("features").has(STATISTICS):
        copies[STATISTICS] = context.input("features").file(STATISTICS)
    for name, source in copies.items():
        (context.out / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(source, context.out / name)
    description = {"chosen": chosen, "criteria": criteria, "held_out_divergence": held_out}
    (context.out / "choice.json").write_text(json.dumps(description), "utf-8")
    options = (
        {TRAINED: trained(context.config.self_training.training)}
        if is_finetuned
        else {
            "features": OmegaConf.to_container(context.config.features, resolve=True),
            "upstream": instantiate(context.config.features.upstream).fingerprint(),
        }
    )
    options |= {
        "decoder": OmegaConf.to_container(decoder, resolve=True),
        DIGESTS: {name: digest_file(context.out / name) for name in copies},
    }
    (context.out / "model.json").write_text(json.dumps(options, indent=1), "utf-8")


def trained(training: DictConfig) -> dict[str, object]:
    """How an upstream is fine-tuned, in plain words: its name or its file's, and the numbers."""
    upstream = training.upstream
    named = upstream.get("model") or Path(str(upstream.get("checkpoint", "an upstream"))).name
    numbers = OmegaConf.to_container(training, resolve=True)
    assert isinstance(numbers, dict)
    others = {str(k): v for k, v in numbers.items() if k not in ("_target_", "upstream")}
    return {"model": str(named), **others}


def chosen_round(criteria: Mapping[str, float], held_out: Mapping[str, float | None]) -> str:
    """The round that writes most like the text for speakers whom it was not trained on, by bits
    between bigrams.

    By the criterion of training speech, with what is missing, where there is too little other
    speech: it cannot tell what a network has learned from what it knows by heart.
    """
    measured = {name: bits for name, bits in held_out.items() if bits is not None}
    ranked = measured if len(measured) == len(criteria) else criteria
    return min(ranked, key=lambda name: ranked[name])
