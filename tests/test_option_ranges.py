"""Values that cannot work are refused before anything runs: every number of every component."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import math
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from omegaconf import DictConfig, OmegaConf

from unsup_asr.cli import main
from unsup_asr.engine.config import check_component
from unsup_asr.engine.overrides import Place
from unsup_asr.engine.recipe import STAND_INS, load_recipe
from unsup_asr.engine.recipe_files import GROUPS, RecipeError
from unsup_asr.ranges import (
    PLAIN,
    Device,
    Filled,
    Fraction,
    PositiveInt,
    Positives,
    Range,
    Real,
    Seed,
    expected,
)

ROOT = Path(__file__).resolve().parents[1]
DELTAS = "features.delta_weights"
FREE = {"parameters"}  # what another program reads itself
# Decibels and log scores, and kaldi's frequencies counted from the highest.
MAY_BE_NEGATIVE = {
    *("high_hz", "insertion_score", "max_snr_db", "min_snr_db", "silence_score"),
    *("vary", "word_score", "word_scores"),
}
# Zero turns something off, or is a number like others; of anything else there must be some.
MAY_BE_ZERO = {
    *("place_weight", "search_place_weight"),
    *("anchor", "anneal_fraction", "auxiliary", "beta1", "beta2", "context", "decay_fraction"),
    *("discriminator_learning_rate", "discriminator_weight_decay", "diversity", "dropout"),
    *("floor_margin_db", "floor_percentile", "generator_batch_norm", "generator_dropout"),
    *("generator_hidden", "generator_init_scale", "generator_learning_rate", "gradient_penalty"),
    *("hesitant_share", "high_hz", "insertion_score", "keep_frames", "kernel_end"),
    *("kernel_starts", "lm_scale", "lm_weight", "lm_weights", "low_hz", "max_divergence"),
    *("max_masked_frames", "max_pitch", "max_points_per_centroid", "max_run_frames"),
    *("max_silence_difference", "max_silence_s", "max_snr_db", "max_word_gap"),
    *("min_member_disagreement", "min_phone_count", "min_pitch", "min_range_db", "min_snr_db"),
    *("min_usage", "noise", "num_auxiliary_classes", "percentile", "probability", "prune"),
    *("realign_steps",),
    *("activation_dropout", "channel_mask", "head_updates", "hold", "layer_drop", "time_mask"),
    *("warm_up",),
    *("seed", "silence_score", "smoothness", "split_seed", "threshold_db", "warm_up_updates"),
    *("vary", "word_score", "word_scores"),
}


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


def within(annotation: Any, number: object) -> object:
    """The number as a value of the annotation: itself, or in a list or a table of one."""
    text = str(annotation)
    for kind, made in (("Mapping", {"x": number}), ("list", [number])):
        if kind in text.split("Range")[0]:
            return {"x": [number]} if kind == "Mapping" and "Sequence" in text else made
    return number


def _leaves(annotation: Any) -> list[Any]:
    inner = [a for a in typing.get_args(annotation) if not isinstance(a, Range | Filled)]
    return [leaf for a in inner for leaf in _leaves(a)] if inner else [annotation]


def test_components_with_numbers_are_found() -> None:
    assert len(COMPONENTS) > 35
    assert sum(bool(numbers_of(target)) for target in COMPONENTS.values()) > 20


@pytest.mark.parametrize("target", sorted(COMPONENTS))
def test_every_number_has_a_range_and_what_is_out_of_it_is_refused_by_name(target: str) -> None:
    for name, annotation in numbers_of(COMPONENTS[target]):
        assert "Range(" in str(annotation), f"{target}.{name} has no range"
        wrong: list[object] = [math.nan, math.inf, -math.inf, True, "several"]
        wrong += [] if name in MAY_BE_NEGATIVE else [-1]
        wrong += [] if name in MAY_BE_ZERO else [0]
        for value in wrong:
            node = OmegaConf.create({"_target_": target, name: within(annotation, value)})
            with pytest.raises(RecipeError, match=rf"here\.{name} is .*; expected"):
                check_component(node, Place("", "here"))


# What `system` changes are options of other groups, which have their ranges there.
OF_GROUPS = sorted(path for path in GROUPS.glob("**/*.yaml") if path.parent.name != "system")


@pytest.mark.parametrize("path", OF_GROUPS, ids=lambda p: p.stem)
def test_every_number_outside_components_has_a_range(path: Path) -> None:
    group = "" if path.parent == GROUPS else path.parent.name

    def numbers(node: object, key: str) -> Iterator[str]:
        if isinstance(node, dict) and "_target_" not in node and key not in STAND_INS:
            for name, child in node.items():
                yield from numbers(child, f"{key}.{name}" if key else str(name))
        elif type(node) in (int, float) or (isinstance(node, list) and type(node[0]) is float):
            yield key

    assert set(numbers(OmegaConf.to_container(OmegaConf.load(path)), group)) <= set(PLAIN)


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
        (dict[str, Fraction], [{"a": 1.0}], [{"a": 1.5}, {1: 1.0}, [0.5]]),
        (dict[str, str], [{"a": "b"}, {}], [{"a": 1}, {"a": None}, "a"]),
        (list[str], [["a"]], [[True], ["a", 1.0], "a"]),
        (str | None, ["a", None], [1, False, ["a"]]),
        (Positives, [[1.0, 2]], [[], [0], 1.0]),
        (Literal["a", "b"], ["a"], ["c", None]),
        (Device, ["cpu", "auto", "cuda:1"], ["gpu", "cuda:", 0]),
        (PLAIN["features.layers"], ["all", 0, [1, 2]], ["some", -1, [], [-1], 1.5]),
        (bool, [True], [1, "true", None]),
        (int, [10**400], [True, 1.0, "1"]),
        (float, [1], [10**400, True, "1"]),
        (Path, [{"_target_": "x"}], [1, "x", None]),
    ],
)
def test_ranges_are_checked_at_any_depth(annotation: Any, inside: list, outside: list) -> None:
    assert [expected(value, annotation) for value in inside] == [None] * len(inside)
    assert all(expected(value, annotation) for value in outside)


@pytest.mark.parametrize("key", sorted(set(PLAIN) - {"language"}))
@pytest.mark.parametrize("value", ["-1", "nan", "{a: 1}"])
def test_plain_options_have_ranges_too(key: str, value: str) -> None:
    given = [f"{key}=[1.0,{value},1.0]" if "weights" in key else f"{key}={value}"]
    if key.startswith("features.") and key not in ("features.boundary_weight", DELTAS):
        given = ["features=wav2vecu", *given]
    if key.startswith("superb."):
        given = ["superb=phoneme_recognition", *given]
    if key in ("realign.num_iterations", "realign.prior_scale", "realign.stack"):
        given = ["realign=hmm", *given]
    if key.startswith("start."):
        given = ["start=spoken_text", *given]
    with pytest.raises(RecipeError, match=key.replace(".", r"\.")):
        load_recipe(str(ROOT / "recipes" / "demo"), given)


@pytest.mark.parametrize("key", ["segmentation.segmenter", "gan.trainer", "realign.num_rounds"])
@pytest.mark.parametrize("form", ["{}=null", "~{}"])
def test_what_a_stage_needs_cannot_be_null_or_taken_away(key: str, form: str) -> None:
    with pytest.raises(RecipeError, match=rf"^the command line: {key} is (None|taken away)"):
        load_recipe(str(ROOT / "recipes" / "demo"), [form.format(key)])


@pytest.mark.parametrize(
    ("option", "key"),
    [
        ("self_training.first_round.epochs=0", "self_training.first_round.epochs"),
        ("self_training.first_round.noise=nan", "self_training.first_round.noise"),
        ("self_training.first_round.epoch=1", "self_training.first_round.epoch"),
        ("gan.population.vary={gradient_penalty: [-1]}", "gan.population.vary.gradient_penalty"),
    ],
)
def test_options_that_stand_in_for_others_have_their_ranges(option: str, key: str) -> None:
    with pytest.raises(RecipeError, match=rf"{key} is"):
        load_recipe(str(ROOT / "recipes" / "demo"), [option])


@pytest.mark.parametrize(
    "option",
    [
        "self_training.training.epochs=0",
        "self_training.training.epochs=-1",
        "self_training.training.dropout=2",
        "self_training.training.stack=0",
        "corpus.train_variants=[1]",
        "start.road=sideways",
        "realign.num_rounds=null",
        "language=null",
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
