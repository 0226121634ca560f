"""What the choices that no label made cost, where references can tell."""

from __future__ import annotations

import re
from collections.abc import Mapping

from unsup_asr.report.results import FINAL_ROW, Row

# Rows that one choice was among: of matching and game, by the turn of the loop, and of the rounds.
_CHOICES = (r"(?:matching|gan)(?P<turn>_\d+)?", r"self_training_\d+")


def regrets(rows: Mapping[str, Row]) -> dict[str, float]:
    """By the row that was chosen: points of PER above the best of those it was chosen from."""
    found: dict[str, float] = {}
    for pattern in _CHOICES:
        groups: dict[str | None, dict[str, Row]] = {}
        for name, row in rows.items():
            if name != FINAL_ROW and (match := re.fullmatch(pattern, name)):
                groups.setdefault(match.groupdict().get("turn"), {})[name] = row
        for group in groups.values():
            best = min(row.per for row in group.values())
            found |= {name: row.per - best for name, row in group.items() if row.chosen}
    return found


def regret_line(rows: Mapping[str, Row]) -> str | None:
    """The same for a reader; None where nothing was chosen."""
    costs = [f"{name} {points:.1f}" for name, points in regrets(rows).items()]
    if not costs:
        return None
    return "points that choices cost against the best there was, by references: " + ", ".join(costs)
