"""What the members of a population reached, and which of them each label-free rule would take."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True)
class MemberResult:
    """One member: what sets it apart, PER in percent on the test set, its own criterion.

    `stopped_at` is the update after which it was given up, None where it played to the end.
    """

    options: dict[str, float]
    per: float
    weighted_perplexity: float
    stopped_at: int | None


@dataclass(frozen=True, kw_only=True)
class PopulationResult:
    """All members, the member that each rule takes, and the rule that the run followed."""

    members: tuple[MemberResult, ...]
    choices: dict[str, int]
    rule: str

    @property
    def oracle(self) -> int:
        """The member of the lowest PER, which no rule can know."""
        return min(range(len(self.members)), key=lambda number: self.members[number].per)

    def rule_cells(self) -> tuple[list[str], list[list[str]]]:
        """Column names, and one line a rule: its member, that one's PER, what it loses."""
        best = self.members[self.oracle].per
        header = ["", "rule", "member", "PER %", "above the best"]
        lines = [
            [
                "*" if name == self.rule else "",
                name,
                str(number),
                f"{self.members[number].per:.1f}",
                "the best" if number == self.oracle else f"{self.members[number].per - best:.1f}",
            ]
            for name, number in self.choices.items()
        ]
        return header, [*lines, ["", "(oracle)", str(self.oracle), f"{best:.1f}", ""]]

    def member_cells(self) -> tuple[list[str], list[list[str]]]:
        """Column names, and one line a member."""
        names = list(self.members[0].options)
        header = ["member", *names, "weighted perplexity", "PER %", "gave up at"]
        lines = [
            [
                str(number),
                *(f"{member.options[name]:g}" for name in names),
                f"{member.weighted_perplexity:.1f}",
                f"{member.per:.1f}",
                "" if member.stopped_at is None else str(member.stopped_at),
            ]
            for number, member in enumerate(self.members)
        ]
        return header, lines

    def to_json(self) -> dict[str, object]:
        """Plain values; an infinite perplexity is the string "inf"."""
        data = asdict(self)
        for member in data["members"]:
            if not math.isfinite(member["weighted_perplexity"]):
                member["weighted_perplexity"] = str(member["weighted_perplexity"])
        return {**data, "members": list(data["members"])}

    @classmethod
    def from_json(cls, data: Mapping) -> PopulationResult:
        """What `to_json` wrote."""
        members = tuple(
            MemberResult(**{**member, "weighted_perplexity": float(member["weighted_perplexity"])})
            for member in data["members"]
        )
        return cls(members=members, choices=dict(data["choices"]), rule=data["rule"])
