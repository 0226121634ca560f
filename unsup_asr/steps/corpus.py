"""Stage `corpus`: what the user gives, as manifests and text."""

from __future__ import annotations

from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext


def run_corpus(context: StageContext) -> None:
    """Write manifests, unpaired text and (sealed) references."""
    instantiate(context.config.corpus).build(context.out)
