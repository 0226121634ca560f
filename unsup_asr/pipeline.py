"""The graph, top to bottom, as one list; only stages marked `reads_references` see references."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import Stage
from unsup_asr.steps.adversarial import run_gan
from unsup_asr.steps.corpus import run_corpus
from unsup_asr.steps.ctc import run_self_training, run_supervised
from unsup_asr.steps.evaluate import run_evaluate
from unsup_asr.steps.features import run_features
from unsup_asr.steps.hmm import run_hmm
from unsup_asr.steps.matching import run_choice, run_matching
from unsup_asr.steps.model import run_model
from unsup_asr.steps.realign import run_realign
from unsup_asr.steps.representations import run_representations
from unsup_asr.steps.spoken import run_spoken_model, run_spoken_text
from unsup_asr.steps.superb import run_superb
from unsup_asr.steps.text import run_language_model, run_text
from unsup_asr.steps.units import run_segments, run_units, run_units_again
from unsup_asr.steps.upstream_features import run_upstream_features
from unsup_asr.steps.words import run_supervised_words, run_words

SUPERVISED = ("supervised", "superb")  # these learn from references, and go only into `evaluate`
_SPOKEN = ("features", "text", "language_model")
_SYSTEMS = ("matching", "gan", "realign_", "hmm_", "spoken_model", "self_training_", *SUPERVISED)


def build_graph(config: DictConfig) -> list[Stage]:
    """All stages of a recipe, inputs before what needs them."""
    stages = [
        Stage(
            "corpus",
            run_corpus,
            config_keys=("corpus",),
            external_files=_user_files,
            version=2,
        ),
        Stage("text", run_text, ("corpus",), ("text",), version=2),
        Stage("language_model", run_language_model, ("text",), ("language_model",)),
        *_features(config),
    ]
    if config.start.road == "spoken_text":
        stages += _from_spoken_text(config)
        extra = ("spoken_text",)
    else:
        stages += _from_matching(config)
        extra = ()
    labels_from = stages[-1].name
    rounds: list[str] = []
    for number in range(1, config.self_training.num_rounds + 1):
        name = f"self_training_{number}"
        stages.append(
            Stage(
                name,
                partial(run_self_training, labels_from=labels_from, number=number),
                (labels_from, *_SPOKEN, *extra),
                ("self_training", "language_model", *(("start",) if extra else ())),
            )
        )
        rounds.append(name)
        labels_from = name
    stages.append(
        Stage(
            "model",
            partial(run_model, candidates=tuple(rounds)),
            (*rounds, "features", "text", "language_model"),
            ("features", "self_training"),
        )
    )
    words = ("words",) if config.words.decoder is not None else ()
    if words:
        stages.append(Stage("words", run_words, ("model", "features", "text"), ("words",)))
    if not has_references(config):
        return stages
    stages.append(
        Stage(
            "supervised",
            run_supervised,
            ("corpus", *_SPOKEN),
            ("self_training", "language_model", "text"),
            reads_references=True,
        )
    )
    if config.superb.training is not None:
        stages.append(
            Stage(
                "superb",
                run_superb,
                ("corpus", "text", _layers(config)),
                ("superb", "text"),
                reads_references=True,
            )
        )
    given = {stage.name for stage in stages}
    systems = [stage.name for stage in stages if stage.name.startswith(_SYSTEMS)]
    if words:
        inputs = ("supervised", "words", "features", "text")
        stages.append(Stage("supervised_words", run_supervised_words, inputs, ("words",)))
        words += ("supervised_words",)
    stages.append(
        Stage(
            "evaluate",
            partial(run_evaluate, systems=tuple(systems)),
            (
                *("corpus", *_SPOKEN, *sorted({"segments", "choice"} & set(given)), "model"),
                *(*systems, *words),
            ),
            ("text", "language_model", "gan", "recipe"),
            version=2,
            reads_references=True,
        )
    )
    return stages


def uses_representations(config: DictConfig) -> bool:
    """Whether the recipe reads a layer of an upstream that `representations` keeps on disk."""
    return "layer" in config.features


def _layers(config: DictConfig) -> str:
    """The stage whose layers the SUPERB recipe weighs."""
    return "representations" if uses_representations(config) else "features"


def _features(config: DictConfig) -> list[Stage]:
    """MFCC, or one of the layers that an upstream gives in one pass over the audio."""
    read = ("features.upstream", "features.boundary_upstream")
    if not uses_representations(config):
        return [Stage("features", run_features, ("corpus",), ("features",), upstreams=read)]
    return [
        Stage(
            "representations",
            run_representations,
            ("corpus",),
            ("features.upstream", "features.layers", "features.runtime"),
            resumable=True,
            upstreams=("features.upstream",),
        ),
        Stage(
            "features",
            run_upstream_features,
            ("corpus", "representations"),
            ("features",),
            upstreams=read,
        ),
    ]


def _from_matching(config: DictConfig) -> list[Stage]:
    """Segments matched with text, the better of that and the game, and what corrects that."""
    stages = [
        Stage("segments", run_segments, ("features", "text"), ("segmentation",)),
        *_game("segments", ""),
    ]
    if "num_iterations" in config.realign:
        return stages + _hmm_loop(config.realign.num_iterations)
    labels_from = "choice"
    for number in range(1, config.realign.num_rounds + 1):
        name = f"realign_{number}"
        stages.append(
            Stage(
                name,
                partial(run_realign, labels_from=labels_from),
                (labels_from, *_SPOKEN),
                ("realign", "language_model"),
            )
        )
        labels_from = name
        if number == 1:
            again = _matching_again(name)
            labels_from = again[-1].name
            stages += again
    return stages


def _game(segments: str, suffix: str) -> list[Stage]:
    """Units of a stage's boundaries, matched and played; the better of the two goes on."""
    units, matching, gan = (f"{name}{suffix}" for name in ("units", "matching", "gan"))
    read_as = {segments: "segments", units: "units", matching: "matching", gan: "gan"}
    matched = ("features", segments, units, "text", "language_model")
    return [
        Stage(
            units,
            run_units,
            ("features", segments),
            ("segmentation",),
            stands_for=read_as,
        ),
        Stage(
            matching,
            partial(run_matching, units="units"),
            matched,
            ("matching", "language_model"),
            version=2,
            stands_for=read_as,
        ),
        Stage(
            gan,
            run_gan,
            ("features", segments, units, matching, "text", "language_model"),
            ("gan", "language_model"),
            version=2,
            resumable=True,
            stands_for=read_as,
        ),
        Stage(f"choice{suffix}", run_choice, (matching, gan, segments), stands_for=read_as),
    ]


def _hmm_loop(num_iterations: int) -> list[Stage]:
    """An HMM of what the game has named, a game on the HMM's boundaries, and so on."""
    stages: list[Stage] = []
    for number in range(1, num_iterations + 1):
        suffix = "" if number == 1 else f"_{number}"
        if number > 1:
            stages += _game(f"hmm_{number - 1}", suffix)
        stages.append(
            Stage(
                f"hmm_{number}",
                run_hmm,
                (f"choice{suffix}", *_SPOKEN),
                ("realign", "language_model"),
                stands_for={f"choice{suffix}": "choice"},
            )
        )
    return stages


def _from_spoken_text(config: DictConfig) -> list[Stage]:
    """The text, spoken; a model of it."""
    return [
        Stage(
            "spoken_text",
            run_spoken_text,
            ("text", *(("features",) if uses_representations(config) else ())),
            ("start", "features"),
            upstreams=("features.upstream",),
        ),
        Stage(
            "spoken_model",
            run_spoken_model,
            ("spoken_text", *_SPOKEN),
            ("start", "self_training", "language_model"),
        ),
    ]


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
            version=2,
        ),
    ]


def has_references(config: DictConfig) -> bool:
    """Whether the corpus has references: a folder of the user's may have none."""
    return "references" not in config.corpus or config.corpus.references is not None


def _user_files(config: DictConfig) -> list[Path]:
    """Files that the user gave, whose content decides what the corpus is.

    A corpus names them itself (`source_files`), or has options that are called as they are here.
    """
    source_files = getattr(instantiate(config.corpus), "source_files", None)
    if source_files is not None:
        return list(source_files())
    names = [config.corpus.get(key) for key in ("audio", "text", "references", "text_path")]
    return [Path(name) for name in names if name]
