"""Stage `diagnosis`: why a run may have failed, by signs that need no references."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np

from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.checked import read_json_value
from unsup_asr.formats.hypotheses import read_hypotheses
from unsup_asr.formats.phone_text import phone_ids, read_inventory
from unsup_asr.report.signs import (
    DIAGNOSIS_FILE,
    SIGNS_FILE,
    Finding,
    write_findings,
    write_signs,
)
from unsup_asr.scoring.signs import TEXT
from unsup_asr.speech.runs import merge_repeats
from unsup_asr.steps.conditions import silence_id
from unsup_asr.steps.criterion import measured_text, read_criterion
from unsup_asr.steps.inputs import open_split, text_ids
from unsup_asr.steps.signs import signs_of_run
from unsup_asr.types import Int32Array

log = logging.getLogger(__name__)


class _Found(Protocol):
    @property
    def kind(self) -> str: ...

    @property
    def message(self) -> str: ...


def run_diagnosis(
    context: StageContext,
    *,
    realigned: Sequence[str],
    systems: Sequence[str],
    segments_of: Mapping[str, str],
) -> None:
    """Write the signs of every system and what looks wrong, causes first; warn of
    the first.

    Whether a run has failed is decided by how unlike the text its last realignment and its model
    write, and by how much the two differ. A network learns wrong labels well, so a model with a low
    criterion proves little. Perplexities, and what is wrong with matching and the game, are causes:
    they are told where a run has failed, since runs that succeed may have them too.
    """
    model = context.input("model").file("choice.json")
    final = str(read_json_value(model)["chosen"])
    signs = signs_of_run(context, systems, segments_of, final=final)
    write_signs(context.out / SIGNS_FILE, signs)
    of_text = signs[TEXT].perplexity
    diagnosis = instantiate(context.config.gan.diagnosis)
    of_end = _kept(diagnosis.unlike_text(signs, [*realigned, final]))
    of_end += _of_model(context, final)
    causes: list[Finding] = []
    if of_end:
        if "matching" in context.artifacts:
            causes += _does_not_read_like_text(context, ["matching"], of_text)
        if "gan" in context.artifacts:
            causes += [
                Finding(found.kind, f"in the game, {found.message}")
                for found in findings_of_game(context, of_text)
            ]
        causes += _does_not_read_like_text(context, [*realigned, final], of_text)
    findings = [*causes, *of_end]
    if findings:
        number = f"{len(findings)} signs" if len(findings) > 1 else "a sign"
        log.warning(
            "%s that this run may have failed, the first: %s. `unsup-asr diagnose` says what to do "
            "next",
            *(number, findings[0].message.rstrip(".")),
        )
    write_findings(context.out / DIAGNOSIS_FILE, findings)


def _kept(found: Iterable[_Found]) -> list[Finding]:
    """What a diagnosis, which is a plug-in's class, has found."""
    return [Finding(one.kind, one.message) for one in found]


def _does_not_read_like_text(
    context: StageContext, stages: Sequence[str], of_text: float
) -> list[Finding]:
    diagnosis = instantiate(context.config.gan.diagnosis)
    heard = {stage: read_criterion(context.input(stage)) for stage in stages}
    return _kept(diagnosis.perplexities(heard, of_text=of_text))


def _of_model(context: StageContext, final: str) -> list[Finding]:
    """What looks wrong with the final system's phones of the training audio."""
    inventory = read_inventory(context.input("text").file("inventory.json"))
    recognised = read_hypotheses(context.input(final).file("hypotheses/train.tsv"))
    findings = instantiate(context.config.gan.diagnosis).findings(
        [phone_ids(h.phones, inventory) for h in recognised],
        [phone_ids(phones, inventory) for phones in measured_text(context)],
        [],
        num_phones=len(inventory),
        silence=silence_id(inventory),
    )
    return _kept(findings)


def findings_of_game(context: StageContext, of_text: float) -> list[Finding]:
    """Why the chosen member may have failed, and whether choosing it meant anything."""
    diagnosis = instantiate(context.config.gan.diagnosis)
    text, inventory = text_ids(context)
    game = read_json_value(context.input("gan").file("gan.json"))
    wrote = [_wrote(context, number) for number in range(len(game["members"]))]
    findings = [
        *diagnosis.findings(
            wrote[game["chosen"]],
            [merge_repeats(sentence) for sentence in text],
            game["members"][game["chosen"]]["history"],
            num_phones=len(inventory),
            silence=silence_id(inventory),
        ),
        *diagnosis.members(wrote),
    ]
    unlike_text = _does_not_read_like_text(context, ["gan"], of_text)
    return [*unlike_text, *_kept(findings)]


def _wrote(context: StageContext, member: int) -> list[Int32Array]:
    """Phones that a member wrote for the training audio, by utterance."""
    return [
        np.array(phones) for phones in open_split(context, "gan", "wrote", str(member)).values()
    ]
