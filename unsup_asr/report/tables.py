"""Tables of a report beside its rows: members of a population, turns of the loop of game and HMM
(Chen et al. 2019), weights of layers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True, kw_only=True)
class Iteration:
    """PER in percent on the test set; boundary F1 at 20 ms of the segments that the turn began
    with and of the HMM's alignment at its end, None without aligned references.
    """

    matching_per: float | None  # None without a matching
    gan_per: float
    hmm_per: float
    hmm_criterion: float
    f1_before: float | None
    f1_after: float | None


def iteration_cells(iterations: Sequence[Iteration]) -> tuple[list[str], list[list[str]]]:
    """Column names, and one line a turn."""
    header = ["iteration", "boundary F1", "matching", "gan", "hmm", "criterion", "F1 of the hmm"]
    lines = [
        [
            str(number),
            _fraction(turn.f1_before),
            "" if turn.matching_per is None else f"{turn.matching_per:.1f}",
            f"{turn.gan_per:.1f}",
            f"{turn.hmm_per:.1f}",
            f"{turn.hmm_criterion:.1f}",
            _fraction(turn.f1_after),
        ]
        for number, turn in enumerate(iterations, start=1)
    ]
    return header, lines


def _fraction(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


@dataclass(frozen=True)
class LayerWeights:
    """One entry a layer: its number, softmax weight, and mean Euclidean length of its frames."""

    layers: tuple[int, ...]
    weights: tuple[float, ...]
    norms: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.layers) == len(self.weights) == len(self.norms):
            raise ValueError(
                f"{len(self.layers)} layers, {len(self.weights)} weights and {len(self.norms)} "
                "norms; expected one of each, and at least one layer"
            )

    @property
    def shares(self) -> tuple[float, ...]:
        """w_l ||h_l|| / sum over layers: sum 1."""
        products = [w * n for w, n in zip(self.weights, self.norms, strict=True)]
        total = sum(products)
        return tuple(product / total for product in products)

    def to_json(self) -> dict[str, object]:
        """Lists; `shares` among them for readers, not read back."""
        return {
            "layers": list(self.layers),
            "weights": list(self.weights),
            "norms": list(self.norms),
            "shares": list(self.shares),
        }

    @classmethod
    def from_json(cls, data: Mapping) -> LayerWeights:
        """The object that `to_json` gave `data`."""
        return cls(tuple(data["layers"]), tuple(data["weights"]), tuple(data["norms"]))
