"""Why a run may have failed, by signs that need no references."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.phone_text import phone_ids, read_inventory
from unsup_asr.steps.conditions import (
    silence_id,
)
from unsup_asr.steps.criterion import read_criterion, text_perplexity


def diagnose(
    context: StageContext,
    final: str,
    text: Sequence[Sequence[str]],
    recognised: Sequence[Sequence[str]],
    chosen: Collection[str],
) -> tuple[str, ...]:
    """Why the run may have failed, by signs that need no references; causes first.

    A network learns wrong labels well, so a model with a low criterion proves little: what the
    acoustics alone heard in the last realignment counts too. What is wrong with matching and the
    game counts where the run went on with it (`chosen`), or failed.
    """
    inventory = read_inventory(context.input("text").file("inventory.json"))
    diagnosis = instantiate(context.config.gan.diagnosis)
    of_text = text_perplexity(context)

    def does_not_read_like_text(*stages: str) -> list[str]:
        heard = {stage: read_criterion(context.input(stage)) for stage in stages}
        return [found.message for found in diagnosis.perplexities(heard, of_text=of_text)]

    realigned = [name for name in context.artifacts if name.startswith(("realign_", "hmm_"))]
    of_end = does_not_read_like_text(*realigned[-1:], final)
    of_end += [
        found.message
        for found in diagnosis.findings(
            [phone_ids(phones, inventory) for phones in recognised],
            [phone_ids(phones, inventory) for phones in text],
            [],
            num_phones=len(inventory),
            silence=silence_id(inventory),
        )
    ]
    of_start: list[str] = []
    if "matching" in context.artifacts and (of_end or "matching" in chosen):
        of_start += does_not_read_like_text("matching")
    if "gan" in context.artifacts and (of_end or "gan" in chosen):
        game = json.loads(context.input("gan").file("gan.json").read_text("utf-8"))
        of_start += [f"in the game, {message}" for message in game["findings"]]
    return (*of_start, *of_end)
