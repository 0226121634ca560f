"""Values that cannot work are refused before anything runs: every number of every component."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import math
import typing
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from unsup_asr.cli import main
from unsup_asr.engine.config import GROUPS, RecipeError, check_component, load_recipe
from unsup_asr.ranges import PLAIN, Fraction, PositiveInt, Range, Real, Seed, out_of_range

ROOT = Path(__file__).resolve().parents[1]
# Numbers of any size mean something: identifiers, places, and what a library reads itself.
FREE = {"parameters", "min_phone_count", "min_words", "max_words"}


def named_components() -> dict[str, Any]:
    """Every class that a `_target_` of the configs names."""
    found: dict[str, Any] = {}

    def walk(node: Any) -> None:
        if isinstance(node, DictConfig):
            raw = OmegaConf.to_container(node, resolve=False)
            assert isinstance(raw, dict)
            target = str(raw.get("_target_", ""))
            if "." in target:
                module, _, name = target.rpartition(".")
                found[target] = getattr(importlib.import_module(module), name)
            for key in raw:
                if not OmegaConf.is_missing(node, key) and not OmegaConf.is_interpolation(
                    node, key
                ):
                    walk(node[key])

    for path in [*GROUPS.glob("*/*.yaml"), *(ROOT / "recipes").glob("*/config.yaml")]:
        walk(OmegaConf.load(path))
    return found


COMPONENTS = named_components()


def annotation_of(target: Any, name: str) -> Any:
    annotations = (inspect.get_annotations(base, eval_str=True) for base in target.__mro__)
    return next(found[name] for found in annotations if name in found)


def numbers_of(target: Any) -> list[tuple[str, Any]]:
    """Options that hold a number, or several, with their annotations."""
    if not dataclasses.is_dataclass(target):
        return []
    annotations = [
        (f.name, annotation_of(target, f.name)) for f in dataclasses.fields(target) if f.init
    ]
    return [(n, a) for n, a in annotations if {int, float} & set(_leaves(a)) and n not in FREE]


def _leaves(annotation: Any) -> list[Any]:
    inner = [a for a in typing.get_args(annotation) if not isinstance(a, Range)]
    return [leaf for a in inner for leaf in _leaves(a)] if inner else [annotation]


def test_components_with_numbers_are_found() -> None:
    assert len(COMPONENTS) > 35
    assert sum(bool(numbers_of(target)) for target in COMPONENTS.values()) > 20


@pytest.mark.parametrize("target", sorted(COMPONENTS))
def test_every_number_has_a_range_and_what_is_out_of_it_is_refused_by_name(target: str) -> None:
    for name, annotation in numbers_of(COMPONENTS[target]):
        assert "Range(" in str(annotation), f"{target}.{name} has no range"
        many = isinstance(typing.get_origin(annotation), type) and typing.get_origin(
            annotation
        ) in (list,)
        for value in (math.nan, math.inf, -math.inf, -1, 0, 2, 10**12):
            given: Any = [value] if many else value
            wrong = out_of_range(given, annotation)
            if "Mapping" in str(annotation) or (wrong is None and math.isfinite(value)):
                continue
            node = OmegaConf.create({"_target_": target, name: given})
            with pytest.raises(RecipeError, match=rf"here\.{name} is .*; expected"):
                check_component(node, "here")


@pytest.mark.parametrize(
    ("annotation", "inside", "outside"),
    [
        (PositiveInt, [1, 10**9], [0, -1]),
        (Seed, [0, 2**32 - 1], [-1, 2**32]),
        (Fraction, [0.0, 1, 0.5], [-0.1, 1.1, math.nan]),
        (Real, [-1e9, 0.0], [math.inf, math.nan]),
        (list[Fraction], [[0.5], []], [[0.5, 2.0]]),
        (Fraction | None, [None, 1.0], [2.0]),
        (float, [3.0], [math.nan]),
        (dict[str, Fraction], [{"a": 1.0}], [{"a": 1.5}]),
    ],
)
def test_ranges_are_checked_at_any_depth(annotation: Any, inside: list, outside: list) -> None:
    assert [out_of_range(value, annotation) for value in inside] == [None] * len(inside)
    assert all(out_of_range(value, annotation) for value in outside)


@pytest.mark.parametrize("key", sorted(set(PLAIN) - {"features.layer", "realign.stack"}))
@pytest.mark.parametrize("value", ["-1", "nan"])
def test_plain_options_have_ranges_too(key: str, value: str) -> None:
    given = [f"{key}=[1.0,{value},1.0]" if "weights" in key else f"{key}={value}"]
    if key.startswith("features.runtime."):
        given = ["features=wav2vecu", *given]
    if key.endswith("num_iterations"):
        given = ["realign=hmm", *given]
    if key.startswith("start."):
        given = ["start=spoken_text", *given]
    with pytest.raises(RecipeError, match=key.replace(".", r"\.")):
        load_recipe(str(ROOT / "recipes" / "demo"), given)


@pytest.mark.parametrize(
    "option",
    [
        "self_training.training.epochs=0",
        "self_training.training.epochs=-1",
        "self_training.training.dropout=2",
        "self_training.training.stack=0",
        "gan.trainer.generator_learning_rate=nan",
        "gan.trainer.gradient_penalty=inf",
        "segmentation.clusterer.num_clusters=0",
        "seed=4294967296",
        "runtime.num_threads=10000",
        "recipe=null",
        "recipe=../escaped",
        "recipe=/tmp/escaped",
        "recipe=true",
        "recipe=1e5",
        "recipe='a b'",
        "corpus={_target_: os.system, command: 'true'}",
        "corpus={_target_: subprocess.Popen, args: ['true']}",
    ],
)
def test_what_cannot_work_is_wrong_usage_for_validate_and_run_alike(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = option.partition("=")[0]
    recipe = str(ROOT / "recipes" / "toy")
    for command in (["validate", recipe], ["run", recipe, "--exp", str(tmp_path / "exp")]):
        assert main([*command, option]) == 2
        assert key in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_number_in_the_place_of_a_path_is_a_path(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["validate", str(ROOT / "recipes" / "folder"), "corpus.audio=123", "corpus.text=1"]
    assert main(command) == 1
    assert "1: no such file; `text` names" in capsys.readouterr().out
