"""The graph, top to bottom, as one list. Only stages marked `reads_references` can open references."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from unsup_asr.stages import Stage
from unsup_asr.steps.data import run_corpus, run_features, run_language_model, run_text
from unsup_asr.steps.matching import run_choice, run_matching
from unsup_asr.steps.realign import run_realign
from unsup_asr.steps.units import run_segments, run_units


def build_graph(config: DictConfig) -> list[Stage]:
    """All stages of a recipe, inputs before what needs them."""
    stages = [
        Stage("corpus", run_corpus, config_keys=("corpus",), external_files=_user_files),
        Stage("text", run_text, ("corpus",), ("text",)),
        Stage("language_model", run_language_model, ("text",), ("language_model",)),
        Stage("features", run_features, ("corpus",), ("features",)),
        Stage("segments", run_segments, ("features",), ("segmentation",)),
        Stage("units", run_units, ("features", "segments"), ("segmentation",)),
        Stage(
            "matching",
            run_matching,
            ("features", "segments", "units", "text", "language_model"),
            ("matching", "language_model"),
        ),
        Stage("choice", run_choice, ("matching", "segments"), ()),
    ]
    labels_from = "choice"
    for number in range(1, config.realign.num_rounds + 1):
        name = f"realign_{number}"
        stages.append(
            Stage(
                name,
                partial(run_realign, labels_from=labels_from),
                (labels_from, "features", "text", "language_model"),
                ("realign", "language_model"),
            )
        )
        labels_from = name
    return stages


def _user_files(config: DictConfig) -> list[Path]:
    """Files that the user gave, whose content decides what the corpus is."""
    names = [config.corpus.get(key) for key in ("audio", "text", "references", "text_path")]
    return [Path(name) for name in names if name]
