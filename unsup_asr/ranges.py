"""Which values an option may have: stated in its annotation, checked before anything runs.

    epochs: PositiveInt = 9
    dropout: Probability = 0.25

`engine.config` reads the annotations of a recipe's components; a number without one must be finite.
"""

from __future__ import annotations

import inspect
import math
import re
import sys
import types
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias


@dataclass(frozen=True)
class Range:
    """Finite numbers from `low` to `high`; the ends are inside unless they are open."""

    low: float = -math.inf
    high: float = math.inf
    is_low_open: bool = False
    is_high_open: bool = False

    def has(self, value: float) -> bool:
        """Whether the number is one of them."""
        above = value > self.low if self.is_low_open else value >= self.low
        below = value < self.high if self.is_high_open else value <= self.high
        return abs(value) < math.inf and above and below

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


@dataclass(frozen=True)
class Text:
    """Text that a regular expression matches as a whole; `said` is what it matches, in words."""

    pattern: str
    said: str

    def has(self, value: str) -> bool:
        """Whether the text is one of them."""
        return re.fullmatch(self.pattern, value) is not None

    def __str__(self) -> str:
        return self.said


@dataclass(frozen=True)
class Filled:
    """Lists with something in them."""

    def has(self, value: Collection[object]) -> bool:
        """Whether the list is one of them."""
        return len(value) > 0

    def __str__(self) -> str:
        return "one or more"


PositiveInt: TypeAlias = Annotated[int, Range(1)]
NonNegativeInt: TypeAlias = Annotated[int, Range(0)]
Size: TypeAlias = Annotated[int, Range(1, 1_000_000)]  # of a layer of a network
SizeOrNone: TypeAlias = Annotated[int, Range(0, 1_000_000)]  # 0: no such layer
Seed: TypeAlias = Annotated[int, Range(0, 2**32 - 1)]
SampleRate: TypeAlias = Annotated[int, Range(1000, 384_000)]  # Hz
Real: TypeAlias = Annotated[float, Range()]
Positive: TypeAlias = Annotated[float, Range(0, is_low_open=True)]
NonNegative: TypeAlias = Annotated[float, Range(0)]
AtLeastOne: TypeAlias = Annotated[float, Range(1)]
Warp: TypeAlias = Annotated[float, Range(1.0, 1.3)]  # as far as `upstreams.warping.FACTORS` go
Fraction: TypeAlias = Annotated[float, Range(0, 1)]
PositiveFraction: TypeAlias = Annotated[float, Range(0, 1, is_low_open=True)]
OpenFraction: TypeAlias = Annotated[float, Range(0, 1, is_low_open=True, is_high_open=True)]
Probability: TypeAlias = Annotated[float, Range(0, 1, is_high_open=True)]
Percentile: TypeAlias = Annotated[float, Range(0, 100)]
Device: TypeAlias = Annotated[str, Text(r"auto|cpu|cuda(:\d+)?", "auto, cpu, cuda or cuda:0")]

Positives: TypeAlias = Annotated[list[Positive], Filled()]
NonNegatives: TypeAlias = Annotated[list[NonNegative], Filled()]
Reals: TypeAlias = Annotated[list[Real], Filled()]

_Layers: TypeAlias = NonNegativeInt | Annotated[list[NonNegativeInt], Filled()] | Literal["all"]
_Rate: TypeAlias = Positive | None
_Stride: TypeAlias = PositiveInt | None

# Of options that belong to no component.
PLAIN: dict[str, Any] = {
    "language": str,
    "seed": Seed,
    "runtime.device": Device,
    "runtime.precision": Literal["auto", "float32", "bfloat16"],
    "runtime.cuda_graphs": bool,
    "runtime.num_threads": Annotated[int, Range(0, 512)],
    "runtime.processes": Annotated[int, Range(1, 512)],
    "runtime.tensorboard": bool,
    "runtime.sum_threads": Annotated[int, Range(1, 512)],
    "features.boundary_weight": NonNegative,
    "features.cut_from": Literal["frames", "audio"],
    "features.delta_weights": NonNegatives,
    "features.layer": NonNegativeInt,
    "features.layers": _Layers,
    "features.runtime.batch_seconds": Positive,
    "features.runtime.shard_minutes": Positive,
    "features.runtime.attempts": PositiveInt,
    "gan.decode_stride": _Stride,
    "gan.decode_unjoined": bool,
    "gan.validate_on": Literal["train", "dev"],
    "language_model.posterior_floor": Positive,
    "segmentation.segments_per_phone": _Rate,
    "start.agreement": NonNegative,
    "start.evidence_weight": NonNegative,
    "start.max_divergence_ratio": NonNegative,
    "start.road": Literal["matching", "joined", "spoken_text", "game"],
    "realign.num_iterations": NonNegativeInt,
    "realign.num_rounds": NonNegativeInt,
    "realign.prior_scale": NonNegative,
    "realign.stack": PositiveInt,
    "self_training.num_rounds": NonNegativeInt,
    "start.num_kept": NonNegativeInt,
}


def expected(value: object, annotation: Any) -> str | None:
    """What an option should be, where a value, or one inside it, is not that; None where it is.

    Text must be text: what YAML reads as a number or truth (1e5, no) was named otherwise.
    """
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        rules = [
            rule for rule in annotation.__metadata__ if isinstance(rule, Range | Text | Filled)
        ]
        broken = (str(rule) for rule in rules if not rule.has(value))  # pyright: ignore
        return expected(value, inner[0]) or next(broken, None)
    if origin in (typing.Union, types.UnionType):
        found = [expected(value, option) for option in inner]
        return None if None in found else found[0]
    if origin is Literal:
        return None if value in inner else f"one of {', '.join(map(str, inner))}"
    if annotation in _SIMPLE:
        words, is_one = _SIMPLE[annotation]
        return None if is_one(value) else words
    kind = origin or annotation
    if not inspect.isclass(kind):
        return None
    if issubclass(kind, Mapping):
        return _expected_inside(value, Mapping, "a table", inner or (Any, Any))
    if issubclass(kind, Collection):
        return _expected_inside(value, list, "a list", inner or (Any,))
    is_component = isinstance(value, Mapping) and "_target_" in value
    return None if is_component else "a component (a table with _target_)"


def as_annotated(value: Any, annotation: Any) -> Any:
    """The value itself, as a real number where a whole one was given for it: 1 and 1.0 are one."""
    inner = typing.get_args(annotation)
    if typing.get_origin(annotation) in (Annotated, typing.Union, types.UnionType):
        return as_annotated(value, inner[0])
    return float(value) if annotation is float and type(value) is int else value


def _is_real(value: object) -> bool:
    return type(value) in (int, float) and abs(value) <= sys.float_info.max  # pyright: ignore


# Annotations that stand for themselves: what they are called, and what is one.
_SIMPLE: dict[Any, tuple[str, Callable[[object], bool]]] = {
    Any: (str(Range()), lambda value: type(value) is not float or math.isfinite(value)),
    object: (str(Range()), lambda value: type(value) is not float or math.isfinite(value)),
    types.NoneType: ("null", lambda value: value is None),
    bool: ("true or false", lambda value: type(value) is bool),
    int: ("a whole number", lambda value: type(value) is int),
    float: (str(Range()), _is_real),
    str: ("text (in quotes)", lambda value: isinstance(value, str)),
}


def _expected_inside(value: object, kind: type, words: str, inner: tuple[Any, ...]) -> str | None:
    """As `expected`, of a list or a table and what is in it."""
    rows: list[tuple[object, ...]] = []
    if isinstance(value, Mapping):
        rows = list(value.items())
    elif isinstance(value, Collection):
        rows = [(part,) for part in value]
    if not isinstance(value, kind):
        return words
    found = [expected(part, each) for row in rows for part, each in zip(row, inner, strict=False)]
    return next((wrong for wrong in found if wrong), None)
