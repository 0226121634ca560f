"""The graph, top to bottom, as one list; only stages marked `reads_references` see references."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from unsup_asr.stages import Stage
from unsup_asr.steps.adversarial import run_gan
from unsup_asr.steps.ctc import run_self_training, run_supervised
from unsup_asr.steps.data import run_corpus, run_features, run_language_model, run_text
from unsup_asr.steps.final import run_evaluate, run_model
from unsup_asr.steps.matching import run_choice, run_matching
from unsup_asr.steps.realign import run_realign
from unsup_asr.steps.units import run_segments, run_units, run_units_again


def build_graph(config: DictConfig) -> list[Stage]:
    """All stages of a recipe, inputs before what needs them."""
    stages = [
        Stage("corpus", run_corpus, config_keys=("corpus",), external_files=_user_files),
        Stage("text", run_text, ("corpus",), ("text",)),
        Stage("language_model", run_language_model, ("text",), ("language_model",)),
        Stage("features", run_features, ("corpus",), ("features",)),
        Stage("segments", run_segments, ("features", "text"), ("segmentation",)),
        Stage("units", run_units, ("features", "segments"), ("segmentation",)),
        Stage(
            "matching",
            partial(run_matching, units="units"),
            ("features", "segments", "units", "text", "language_model"),
            ("matching", "language_model"),
        ),
        Stage(
            "gan",
            run_gan,
            ("features", "segments", "units", "matching", "text", "language_model"),
            ("gan", "language_model"),
            resumable=True,
        ),
        Stage("choice", run_choice, ("matching", "gan", "segments")),
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
        if number == 1:
            stages += _matching_again(name)
            labels_from = "matching_2"
    spoken = ("features", "text", "language_model")
    candidates = [labels_from]
    for number in range(1, config.self_training.num_rounds + 1):
        name = f"self_training_{number}"
        stages.append(
            Stage(
                name,
                partial(run_self_training, labels_from=labels_from),
                (labels_from, *spoken),
                ("self_training", "language_model"),
            )
        )
        candidates.append(name)
        labels_from = name
    candidates = candidates[1:]
    stages.append(
        Stage(
            "model",
            partial(run_model, candidates=tuple(candidates)),
            (*candidates, "text", "language_model"),
            ("features", "self_training"),
        )
    )
    if not has_references(config):
        return stages
    stages.append(
        Stage(
            "supervised",
            run_supervised,
            ("corpus", *spoken),
            ("self_training", "language_model", "text"),
            reads_references=True,
        )
    )
    systems = [s.name for s in stages if s.name.startswith(("matching", "gan", "realign", "self_"))]
    systems.append("supervised")
    stages.append(
        Stage(
            "evaluate",
            partial(run_evaluate, systems=tuple(systems)),
            ("corpus", *spoken, "segments", "choice", "model", *systems),
            ("text", "recipe"),
            reads_references=True,
        )
    )
    return stages


def _matching_again(network_from: str) -> list[Stage]:
    """Clusters that know what the first round has learned, matched once more."""
    again = partial(run_units_again, network_from=network_from)
    inputs = ("features", "segments", "units_2", "text", "language_model")
    return [
        Stage("units_2", again, ("features", "segments", network_from), ("segmentation",)),
        Stage(
            "matching_2",
            partial(run_matching, units="units_2"),
            inputs,
            ("matching", "language_model"),
        ),
    ]


def has_references(config: DictConfig) -> bool:
    """Whether the corpus has references: a folder of the user's may have none."""
    return "references" not in config.corpus or config.corpus.references is not None


def _user_files(config: DictConfig) -> list[Path]:
    """Files that the user gave, whose content decides what the corpus is."""
    names = [config.corpus.get(key) for key in ("audio", "text", "references", "text_path")]
    return [Path(name) for name in names if name]
