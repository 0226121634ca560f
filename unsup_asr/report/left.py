"""What a run has left for a page: of one that has ended, of one without references, of one that
was broken off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from unsup_asr.formats.checked import read_json, read_json_value, reading
from unsup_asr.formats.finished import as_written
from unsup_asr.formats.manifest import read_manifest
from unsup_asr.formats.phone_text import read_inventory
from unsup_asr.report.curves import CurveSet, training_curves
from unsup_asr.report.results import Results
from unsup_asr.report.run import finished_stages, load_results, wall_times
from unsup_asr.report.samples import SUPERVISED, final_stage
from unsup_asr.report.signs import SIGNS_FILE, read_signs
from unsup_asr.scoring.signs import Signs


@dataclass(frozen=True, kw_only=True)
class Member:
    """One member of the game: its PER in percent where references are, its own criterion."""

    per: float | None
    criterion: float
    is_chosen: bool


@dataclass(frozen=True)
class LearnedFrom:
    """Training audio, and the phones of the text."""

    hours: float
    num_speakers: int
    num_phones: int


@dataclass(frozen=True, kw_only=True)
class Left:
    """`stages`: folders of those that have ended, by name. `results` are None without references,
    and of a run that has not come so far; `members` are empty where the game had fewer than two.
    `criteria` are weighted perplexities by system, and `chosen` the systems that the run took.
    """

    name: str
    stages: Mapping[str, Path]
    results: Results | None
    learned_from: LearnedFrom | None = None
    criteria: Mapping[str, float] = field(default_factory=dict)
    chosen: frozenset[str] = frozenset()
    signs: Mapping[str, Signs] = field(default_factory=dict)
    members: tuple[Member, ...] = ()
    curves: tuple[CurveSet, ...] = ()
    wall_by_stage: Mapping[str, float] = field(default_factory=dict)

    @property
    def has_references(self) -> bool:
        """Whether it was told what was said, to score it; it may not have come so far."""
        return "references" in self.stages

    @property
    def final_stage(self) -> str | None:
        """The stage whose phones the run ends with, or has come to."""
        return final_stage(self.stages)


def load_left(folder: Path, *, name: str) -> Left:
    """All that `exp/<recipe>`, for its latest run, or one of its runs has left.

    Of an experiment none of whose runs has ended: the newest of each stage. ValueError where a file
    is damaged.
    """
    stages = finished_stages(folder)
    results = load_results(folder) if "evaluate" in stages else None
    signs: Mapping[str, Signs] = {}
    if "diagnosis" in stages:
        signs = read_signs(as_written(stages["diagnosis"] / SIGNS_FILE))
    return Left(
        name=name,
        stages=stages,
        results=results,
        learned_from=_learned_from(stages, results),
        criteria=_criteria(stages),
        chosen=_chosen(stages),
        signs=signs,
        members=_members(stages, results),
        curves=training_curves(stages),
        wall_by_stage=wall_times(stages),
    )


def _learned_from(stages: Mapping[str, Path], results: Results | None) -> LearnedFrom | None:
    if results is not None:
        speakers = results.num_train_speakers
        return LearnedFrom(results.train_hours, speakers, results.num_phones)
    if "corpus" not in stages or "text" not in stages:
        return None
    try:
        train = read_manifest(as_written(stages["corpus"] / "train.jsonl"))
    except ValueError:  # recordings that are not there any more: said where they were to be heard
        return None
    num_phones = len(read_inventory(as_written(stages["text"] / "inventory.json")))
    hours = sum(utterance.duration_s for utterance in train) / 3600
    return LearnedFrom(hours, len({utterance.speaker for utterance in train}), num_phones)


def _criteria(stages: Mapping[str, Path]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, folder in stages.items():
        path = folder / "criterion.json"
        if path.is_file() and not name.startswith(SUPERVISED):
            with reading(path, "a criterion"):
                found[name] = float(read_json_value(as_written(path))["weighted"])
    return found


def _chosen(stages: Mapping[str, Path]) -> frozenset[str]:
    """Systems that the run went on with."""
    paths = [stages[name] / "choice.json" for name in ("choice", "model") if name in stages]
    written = [as_written(path) for path in paths if path.is_file()]
    return frozenset(str(read_json(path, "chosen")["chosen"]) for path in written)


def _members(stages: Mapping[str, Path], results: Results | None) -> tuple[Member, ...]:
    if results is not None and results.population is not None:
        population = results.population
        chosen = population.choices.get(population.rule)
        return tuple(
            Member(per=m.per, criterion=m.weighted_perplexity, is_chosen=number == chosen)
            for number, m in enumerate(population.members)
        )
    path = stages["gan"] / "gan.json" if "gan" in stages else None
    if path is None or not path.is_file():
        return ()
    with reading(path, "the record of a game"):
        game = read_json_value(as_written(path))
        members = tuple(
            Member(
                per=None,
                criterion=float(member["weighted_lm_perplexity"]),
                is_chosen=number == game["chosen"],
            )
            for number, member in enumerate(game["members"])
        )
    return members if len(members) > 1 else ()
