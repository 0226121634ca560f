"""The training curves of a report, from what the stages that learn have written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from unsup_asr.formats.checked import read_json_value, reading
from unsup_asr.formats.finished import as_written

_MOST_PERPLEXITY = 1e4  # drawn: a game that knows nothing yet would leave no room for the rest
_LOSSES = (
    ("Realignment: loss of each epoch", ("realign_",)),
    ("HMM: log likelihood of a frame after each step", ("hmm_",)),
    ("CTC: loss of each epoch", ("spoken_model", "self_training_", "letters", "supervised")),
)


@dataclass(frozen=True)
class CurveSet:
    """One plot of training curves; the values of a series lie `x_step` steps apart."""

    title: str
    series: dict[str, list[float]]
    x_label: str = "step"
    y_label: str = "loss"
    x_step: float = 1.0


def training_curves(stages: Mapping[str, Path]) -> tuple[CurveSet, ...]:
    """One set for matching, the game, realignment, CTC and the SUPERB recipe, those that ran.

    `stages`: folders of finished stages by name. ValueError for a file that is damaged.
    """
    curves: list[CurveSet] = []
    if path := _written(stages, "matching", "matching.json"):
        with reading(path, "the curves of matching"):
            found = read_json_value(path)["curves"]
            series = {f"restart {i + 1}": list(map(float, curve)) for i, curve in enumerate(found)}
        title = "Matching: loss of each restart"
        curves.append(CurveSet(title, series, x_label="iteration", x_step=20))
    if path := _written(stages, "gan", "gan.json"):
        with reading(path, "the record of a game"):
            game = read_json_value(path)
            series = {
                f"member {number}": [
                    min(float(row["weighted_lm_perplexity"]), _MOST_PERPLEXITY)
                    for row in member["history"]
                ]
                for number, member in enumerate(game["members"])
            }
            every = float(game["validate_every"])
        name = "weighted perplexity"
        title = f"Game: {name} of each member"
        curves.append(CurveSet(title, series, x_label="update", y_label=name, x_step=every))
    for title, prefixes in _LOSSES:
        names = [name for name in stages if name.startswith(prefixes)]
        paths = {name: _written(stages, name, "curve.json") for name in names}
        series = {name: _curve(path) for name, path in paths.items() if path}
        if series:
            curves.append(CurveSet(title, series, x_label="epoch"))
    if path := _written(stages, "superb", "superb.json"):
        with reading(path, "the record of the SUPERB recipe"):
            superb = read_json_value(path)
            series = {"superb": list(map(float, superb["dev_per"]))}
            every = float(superb["evaluate_every"])
        title = "SUPERB recipe: PER on dev"
        curves.append(CurveSet(title, series, y_label="PER %", x_step=every))
    return tuple(one for one in curves if any(one.series.values()))


def _written(stages: Mapping[str, Path], stage: str, name: str) -> Path | None:
    path = stages[stage] / name if stage in stages else None
    return as_written(path) if path is not None and path.is_file() else None


def _curve(path: Path) -> list[float]:
    with reading(path, "a curve"):
        return [float(value) for value in read_json_value(path)]
