"""The training curves of a report, from what the stages that learn have written."""

from __future__ import annotations

from collections.abc import Sequence

from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.checked import read_json_value
from unsup_asr.report.assets import CurveSet


def training_curves(context: StageContext, systems: Sequence[str]) -> tuple[CurveSet, ...]:
    """One set for matching, the game, realignment, CTC and the SUPERB recipe, those that ran."""
    curves: list[CurveSet] = []
    if "matching" in systems:
        matching = read_json_value(context.input("matching").file("matching.json"))
        series = {f"restart {i + 1}": curve for i, curve in enumerate(matching["curves"])}
        curves.append(
            CurveSet("Matching: loss of each restart", series, x_label="iteration", x_step=20)
        )
    if "gan" in systems:
        game = read_json_value(context.input("gan").file("gan.json"))
        series = {
            f"member {number}": [
                min(row["weighted_lm_perplexity"], 1e4) for row in member["history"]
            ]
            for number, member in enumerate(game["members"])
        }
        curves.append(
            CurveSet(
                "Game: weighted perplexity of each member",
                series,
                x_label="update",
                y_label="weighted perplexity",
                x_step=game["validate_every"],
            )
        )
    for title, prefixes in (
        ("Realignment: loss of each epoch", ("realign_",)),
        ("HMM: log likelihood of a frame after each step", ("hmm_",)),
        ("CTC: loss of each epoch", ("spoken_model", "self_training_", "supervised")),
    ):
        names = [name for name in systems if name.startswith(prefixes)]
        if not names:
            continue
        series = {name: read_json_value(context.input(name).file("curve.json")) for name in names}
        curves.append(CurveSet(title, series, x_label="epoch"))
    if "superb" in systems:
        superb = read_json_value(context.input("superb").file("superb.json"))
        curves.append(
            CurveSet(
                "SUPERB recipe: PER on dev",
                {"superb": superb["dev_per"]},
                x_label="step",
                y_label="PER %",
                x_step=superb["evaluate_every"],
            )
        )
    return tuple(curves)
