"""The training curves of stages that learn, from what these have written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
class Curve:
    """Values that a stage noted: the first at step `first`, each of the others `every` later."""

    values: list[float]
    first: int = 1
    every: int = 1

    def points(self) -> Iterator[tuple[int, float]]:
        """Steps and values."""
        return ((self.first + self.every * i, value) for i, value in enumerate(self.values))


@dataclass(frozen=True)
class CurveSet:
    """One plot of training curves; the values of a series lie `x_step` steps apart."""

    title: str
    series: dict[str, list[float]]
    x_label: str = "step"
    y_label: str = "loss"
    x_step: float = 1.0


def curves_of(stage: Path) -> dict[str, Curve]:
    """Curves of a stage's folder by name: `loss/restart N` of matching, `<number>/member N` of the
    game, `loss` of realignment, HMM and CTC, `PER on dev` of the SUPERB recipe; none of stages that
    do not learn. ValueError for a file that is damaged.
    """
    found: dict[str, Curve] = {}
    if path := _written(stage / "matching.json"):
        with reading(path, "the curves of matching"):
            for number, losses in enumerate(read_json_value(path)["curves"], start=1):
                found[f"loss/restart {number}"] = Curve(_numbers(losses), first=0, every=20)
    if path := _written(stage / "gan.json"):
        with reading(path, "the record of a game"):
            game = read_json_value(path)
            every = int(game["validate_every"])
            for number, member in enumerate(game["members"]):
                for name, values in _columns(member["history"]).items():
                    found[f"{name}/member {number}"] = Curve(values, first=every, every=every)
    if path := _written(stage / "curve.json"):
        with reading(path, "a curve"):
            found["loss"] = Curve(_numbers(read_json_value(path)))
    if path := _written(stage / "superb.json"):
        with reading(path, "the record of the SUPERB recipe"):
            superb = read_json_value(path)
            every = int(superb["evaluate_every"])
            found["PER on dev"] = Curve(_numbers(superb["dev_per"]), first=every, every=every)
    return found


def training_curves(stages: Mapping[str, Path]) -> tuple[CurveSet, ...]:
    """One set for matching, the game, realignment, CTC and the SUPERB recipe, those that ran.

    `stages`: folders of finished stages by name. ValueError for a file that is damaged.
    """
    sets: list[CurveSet] = []
    if matching := _named(stages, "matching", "loss/"):
        title = "Matching: loss of each restart"
        sets.append(_set_of(title, matching, x_label="iteration"))
    if game := _named(stages, "gan", "weighted_lm_perplexity/"):
        title = "Game: weighted perplexity of each member"
        drawn = {
            member: replace(curve, values=[min(value, _MOST_PERPLEXITY) for value in curve.values])
            for member, curve in game.items()
        }
        sets.append(_set_of(title, drawn, x_label="update", y_label="weighted perplexity"))
    for title, prefixes in _LOSSES:
        names = [name for name in stages if name.startswith(prefixes)]
        losses = {name: curve for name in names if (curve := curves_of(stages[name]).get("loss"))}
        if losses:
            sets.append(_set_of(title, losses, x_label="epoch"))
    if superb := curves_of(stages["superb"]).get("PER on dev") if "superb" in stages else None:
        title = "SUPERB recipe: PER on dev"
        sets.append(_set_of(title, {"superb": superb}, y_label="PER %"))
    return tuple(one for one in sets if any(one.series.values()))


def _named(stages: Mapping[str, Path], stage: str, prefix: str) -> dict[str, Curve]:
    """Curves of a stage whose names begin so, by the rest of their names."""
    curves = curves_of(stages[stage]) if stage in stages else {}
    return {n.removeprefix(prefix): curve for n, curve in curves.items() if n.startswith(prefix)}


def _set_of(
    title: str, curves: Mapping[str, Curve], *, x_label: str = "step", y_label: str = "loss"
) -> CurveSet:
    series = {name: curve.values for name, curve in curves.items()}
    every = next(iter(curves.values())).every
    return CurveSet(title, series, x_label=x_label, y_label=y_label, x_step=every)


def _written(path: Path) -> Path | None:
    return as_written(path) if path.is_file() else None


def _numbers(values: Sequence[float]) -> list[float]:
    return [float(value) for value in values]


def _columns(rows: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Numbers that every row has, by name."""
    names = [name for name in (rows[0] if rows else {}) if all(name in row for row in rows)]
    return {name: [float(row[name]) for row in rows] for name in names}
