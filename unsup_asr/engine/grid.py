"""Points of a sweep: which options each of its runs has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import yaml

from unsup_asr.engine.recipe_files import RecipeError, first_lines

_OPEN, _CLOSED = "([{", ")]}"


def grid(overrides: Sequence[str]) -> list[tuple[str, ...]]:
    """Every combination of the values that commas part: `a=1,2 b=3` is `a=1 b=3` and `a=2 b=3`.

    Commas within brackets, braces or quotes part nothing. The last option's values change fastest.
    """
    choices = [_values(text) for text in overrides]
    return list(product(*choices))


def read_points(path: Path) -> list[tuple[str, ...]]:
    """Points of a YAML file: a list of tables, each the options of one run by dotted key."""
    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise RecipeError(
            f"{path}: cannot be read ({first_lines(error)}); expected a list of tables"
        ) from error
    if not isinstance(found, list) or not all(isinstance(point, Mapping) for point in found):
        raise RecipeError(
            f"{path}: expected a list of tables, such as [{{gan.trainer.seed: 1}}, "
            "{gan.trainer.seed: 2}]"
        )
    return [tuple(f"{key}={_written(value)}" for key, value in point.items()) for point in found]


def _written(value: object) -> str:
    """A value as the command line gives it."""
    if isinstance(value, str):
        return value
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**9)
    return text.removesuffix("...\n").strip()


def _values(text: str) -> list[str]:
    key, equals, value = text.partition("=")
    if not equals:
        return [text]
    parts, depth, quote = [""], 0, ""
    for character in value:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in _OPEN:
            depth += 1
        elif character in _CLOSED:
            depth -= 1
        if character == "," and not quote and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    if len(parts) > 1 and not all(part.strip() for part in parts):
        raise RecipeError(f"the command line: {text!r} has an empty value between its commas")
    return [f"{key}={part}" for part in parts]
