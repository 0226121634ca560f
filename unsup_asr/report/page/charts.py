"""Charts of systems and of members: error rates where references are, the criterion always."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from unsup_asr.report import plots
from unsup_asr.report.left import Left
from unsup_asr.report.page.document import figure
from unsup_asr.report.plots import Standing
from unsup_asr.report.results import FINAL_ROW, Row
from unsup_asr.scoring.signs import TEXT

_CRITERION = "weighted perplexity"


def systems_chart(runs: Mapping[str, Left], *, title: str = "Systems, first to last") -> str:
    """All systems of each run by its name, '' where nothing is known of any."""
    standings = {name: _systems(left) for name, left in runs.items()}
    of_text = {left.signs[TEXT].perplexity for left in runs.values() if TEXT in left.signs}
    return _chart(standings, title=title, of_text=of_text.pop() if len(of_text) == 1 else None)


def members_chart(left: Left) -> str:
    """The members of a run's game, '' where there were fewer than two."""
    standings = [
        Standing(
            name=f"member {number}",
            per=member.per,
            criterion=member.criterion,
            is_chosen=member.is_chosen,
        )
        for number, member in enumerate(left.members)
    ]
    return _chart({left.name: standings}, title="Members of the game") if standings else ""


def how_to_read() -> str:
    """What the marks of both charts are."""
    return (
        "Full points: chosen without labels; vertical bars: 95 % interval; "
        "short level lines: the lower of a system's nulls, which it must beat; dashed: the "
        "criterion of the text itself"
    )


def _systems(left: Left) -> list[Standing]:
    if left.results is None:
        return [
            Standing(name=name, criterion=criterion, is_chosen=name in left.chosen)
            for name, criterion in left.criteria.items()
        ]
    rows = dict(left.results.rows)
    if any(name.startswith(f"{FINAL_ROW}_") for name in rows):
        rows.pop(FINAL_ROW, None)  # the same as the round that was chosen
    return [_standing(name, row) for name, row in rows.items()]


def _standing(name: str, row: Row) -> Standing:
    nulls = [n for n in (row.nulls.audio_swap, row.nulls.random_phones) if n] if row.nulls else []
    return Standing(
        name=name,
        per=row.per,
        interval=(row.interval_low, row.interval_high),
        null=min(nulls, default=None),
        criterion=row.criterion,
        is_chosen=row.chosen,
    )


def _chart(
    runs: Mapping[str, Sequence[Standing]], *, title: str, of_text: float | None = None
) -> str:
    try:
        svg = plots.standings(runs, title=title, criterion_name=_CRITERION, of_text=of_text)
    except ValueError:
        return ""
    words = [
        f"{name}{f' of {run}' if len(runs) > 1 else ''}: {_in_words(system)}"
        for run, systems in runs.items()
        for name, system in ((s.name, s) for s in systems)
    ]
    return figure(svg, label=f"{title}. {'; '.join(words)}")


def _in_words(system: Standing) -> str:
    parts = [] if system.per is None else [f"PER {system.per:.1f} %"]
    parts += [] if system.criterion is None else [f"{_CRITERION} {system.criterion:.1f}"]
    return ", ".join(parts) or "nothing known"
