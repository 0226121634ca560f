"""Stages `corpus` and `references`: what the user gives, and what was said, which is sealed."""

from __future__ import annotations

from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext


def run_corpus(context: StageContext) -> None:
    """Write manifests and unpaired text."""
    instantiate(context.config.corpus).build(context.out)


def run_references(context: StageContext) -> None:
    """Write what was said in the utterances of the manifests."""
    manifests = context.input("corpus").file("corpus.json").parent
    instantiate(context.config.corpus).build_references(context.out, manifests)
