"""Which values an option may have: stated in its annotation, checked before anything runs.

    epochs: PositiveInt = 9
    dropout: Probability = 0.25

`engine.config` reads the annotations of a recipe's components; a number without one must be finite.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias


@dataclass(frozen=True)
class Range:
    """Finite numbers from `low` to `high`; the ends are inside unless they are open."""

    low: float = -math.inf
    high: float = math.inf
    is_low_open: bool = False
    is_high_open: bool = False

    def has(self, value: float) -> bool:
        """Whether the value is one of them."""
        above = value > self.low if self.is_low_open else value >= self.low
        below = value < self.high if self.is_high_open else value <= self.high
        return math.isfinite(value) and above and below

    def __str__(self) -> str:
        limits = []
        if self.low > -math.inf:
            limits.append(
                f"more than {_said(self.low)}" if self.is_low_open else f"{_said(self.low)} or more"
            )
        if self.high < math.inf:
            limits.append(
                f"less than {_said(self.high)}"
                if self.is_high_open
                else f"at most {_said(self.high)}"
            )
        return " and ".join(limits) or "a finite number"


def _said(limit: float) -> str:
    return str(int(limit)) if limit == int(limit) else str(limit)


PositiveInt: TypeAlias = Annotated[int, Range(1)]
NonNegativeInt: TypeAlias = Annotated[int, Range(0)]
Seed: TypeAlias = Annotated[int, Range(0, 2**32 - 1)]
SampleRate: TypeAlias = Annotated[int, Range(1000, 384_000)]  # Hz
Real: TypeAlias = Annotated[float, Range()]
Positive: TypeAlias = Annotated[float, Range(0, is_low_open=True)]
NonNegative: TypeAlias = Annotated[float, Range(0)]
AtLeastOne: TypeAlias = Annotated[float, Range(1)]
Fraction: TypeAlias = Annotated[float, Range(0, 1)]
PositiveFraction: TypeAlias = Annotated[float, Range(0, 1, is_low_open=True)]
OpenFraction: TypeAlias = Annotated[float, Range(0, 1, is_low_open=True, is_high_open=True)]
Probability: TypeAlias = Annotated[float, Range(0, 1, is_high_open=True)]
Percentile: TypeAlias = Annotated[float, Range(0, 100)]

# Of options that belong to no component.
PLAIN: dict[str, Any] = {
    "seed": Seed,
    "runtime.num_threads": Annotated[int, Range(0, 512)],
    "runtime.sum_threads": Annotated[int, Range(1, 512)],
    "features.boundary_weight": NonNegative,
    "features.delta_weights": list[NonNegative],
    "features.layer": NonNegativeInt,
    "features.runtime.batch_seconds": Positive,
    "features.runtime.shard_minutes": Positive,
    "features.runtime.attempts": PositiveInt,
    "language_model.posterior_floor": Positive,
    "segmentation.posterior_weight": NonNegative,
    "segmentation.segments_per_phone": Positive,
    "realign.num_iterations": NonNegativeInt,
    "realign.num_rounds": NonNegativeInt,
    "realign.prior_scale": NonNegative,
    "realign.stack": PositiveInt,
    "self_training.num_rounds": NonNegativeInt,
    "start.num_kept": NonNegativeInt,
}


def out_of_range(value: object, annotation: Any) -> str | None:
    """What was expected where a value, or one inside it, is out of range; None where it is not."""
    if value is None or isinstance(value, bool | str):
        return None
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        ranges = [extra for extra in annotation.__metadata__ if isinstance(extra, Range)]
        if isinstance(value, int | float):
            return next((str(r) for r in ranges if not r.has(value)), None)
        return out_of_range(value, typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        found = [out_of_range(value, option) for option in typing.get_args(annotation)]
        return next((wrong for wrong in found if wrong), None)
    if isinstance(value, int | float):
        return None if math.isfinite(value) else str(Range())
    inner = typing.get_args(annotation)[-1:] or (Any,)
    inside: Collection[object] = ()
    if isinstance(value, Mapping):
        inside = list(value.values())
    elif isinstance(value, Collection):
        inside = value
    found = [out_of_range(part, inner[0]) for part in inside]
    return next((wrong for wrong in found if wrong), None)
