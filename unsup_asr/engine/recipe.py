"""Recipes: hydra configs, composed and checked before the first stage runs.

A recipe is `recipes/<name>/config.yaml`; its defaults list names groups of `unsup_asr/conf`.
Options of the command line come last and are set here: hydra's own grammar cannot read paths.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from unsup_asr.engine.config import (
    check_component,
    checked_value,
    components,
    foreign,
    is_component,
)
from unsup_asr.engine.overrides import Override, Place, read_override
from unsup_asr.engine.recipe_files import (
    CONFIG_NAME,
    GROUPS,
    RecipeError,
    check_recipe_name,
    first_lines,
    recipe_folder,
)
from unsup_asr.ranges import PLAIN

# Parts of a recipe that may be null; without them the stages that they are for do less.
_MAY_BE_NULL = {
    "features.boundary_upstream",
    "features.projection",
    "segmentation.adjacent_pooling",
    "segmentation.clusterer",
    "segmentation.pooling",
    "gan.auxiliary_clusterer",
    "gan.auxiliary_upstream",
    "gan.frames",
    "self_training.balance",
    "gan.start",
    "gan.text_silence",
    "superb.training",
    "words.decoder",
    "words.estimator",
    "words.tuning",
}
# Options of a component that stand elsewhere: for some of its uses, or in lists several of each.
STAND_INS = {
    "self_training.first_round": "self_training.training",
    "gan.population.vary": "gan.trainer",
}


def load_recipe(
    name_or_path: str, overrides: Sequence[str] = (), *, only_own: bool = False
) -> DictConfig:
    """The whole config of a recipe, overrides applied and checked; RecipeError if it is wrong.

    With `only_own` classes that are not this project's are not imported, nor their options checked.
    """
    folder = recipe_folder(name_or_path).resolve()
    given = [read_override(text) for text in overrides]
    chosen = {o.key: o for o in given if _chooses(o)}
    options = [o for o in given if not _chooses(o)]
    place = Place(str(folder / CONFIG_NAME), given={o.key: o for o in options})
    config, choices = _composed(folder, list(chosen.values()))
    for option in options:
        option.apply(config, as_text=PLAIN.get(option.key) is str)
    base = _loaded(GROUPS / "base.yaml")
    _check_known_keys(config, base, place)
    _check_interpolations(config, place)
    OmegaConf.resolve(config)
    if missing := sorted(OmegaConf.missing_keys(config)):
        raise RecipeError(
            f"{place.file}: {', '.join(missing)} not given; write it into the recipe, or add "
            f"{missing[0]}=... to the command"
        )
    check_recipe_name(config.recipe, place.at("recipe"))
    _check_plain_keys(config.runtime, base.runtime, place.at("runtime"))
    for group, choice in choices.items():
        defined = GROUPS / group / f"{choice}.yaml"
        if group in config and defined.is_file():
            _check_plain_keys(config[group], _loaded(defined), place.at(group))
    for key, annotation in PLAIN.items():
        parent, _, name = key.rpartition(".")
        node = OmegaConf.select(config, parent) if parent else config
        if isinstance(node, DictConfig) and name in node:
            node[name] = checked_value(annotation, node[name], place.at(key))
    for path, node in components(config):
        if not (only_own and foreign(node)):
            check_component(node, place.at(path))
    for key, component in STAND_INS.items():
        if not (only_own and foreign(OmegaConf.select(config, component))):
            _check_stand_ins(config, key, component, place.at(key))
    return config


def _loaded(path: Path) -> DictConfig:
    loaded = OmegaConf.load(path)
    assert isinstance(loaded, DictConfig)
    return loaded


def _chooses(override: Override) -> bool:
    """Whether it names a choice of a group, a file, instead of giving a value."""
    return isinstance(override.value, str) and (GROUPS / override.key).is_dir()


def _composed(folder: Path, chosen: Sequence[Override]) -> tuple[DictConfig, dict[str, str]]:
    """The recipe's files put together, and the choice of each group."""
    for override in chosen:
        choices = {
            path.stem for root in (GROUPS, folder) for path in (root / override.key).glob("*.yaml")
        }
        if override.value not in choices:
            near = difflib.get_close_matches(str(override.value), choices, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise RecipeError(
                f"the command line: {override.key} is {override.value!r}, of which there is none."
                f"{hint} Choices: {', '.join(sorted(choices))}"
            )
    search = "hydra.searchpath=[" + _quoted(f"file://{GROUPS}") + "]"
    GlobalHydra.instance().clear()
    try:
        added = [option for option in chosen if not _has_group(folder, option.key)]
        with initialize_config_dir(config_dir=str(folder), version_base="1.3"):
            config = compose(
                config_name=CONFIG_NAME.removesuffix(".yaml"),
                overrides=[
                    search,
                    *(f"{'+' * (o in added)}{o.key}={_quoted(str(o.value))}" for o in chosen),
                ],
                return_hydra_config=True,
            )
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError, TypeError) as error:
        raise RecipeError(f"{folder / CONFIG_NAME}: {first_lines(error)}") from error
    choices = {str(group): str(choice) for group, choice in config.hydra.runtime.choices.items()}
    config = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    return config, choices


def _has_group(folder: Path, group: str) -> bool:
    """Whether a recipe, or what all begin from, makes a choice of a group: one of `system` is added
    to those that do not.
    """
    for path in (GROUPS / "base.yaml", folder / CONFIG_NAME):
        if any(isinstance(default, dict) and group in default for default in _defaults(path)):
            return True
    return False


def _defaults(path: Path) -> Sequence[Any]:
    loaded = yaml.safe_load(path.read_text("utf-8"))
    return loaded.get("defaults", []) if isinstance(loaded, dict) else []


# Options of earlier versions, and what has taken their place.
MOVED = {
    "features.runtime.device": "runtime.device",
    "superb.runtime": "runtime.device",
    "superb.runtime.device": "runtime.device",
}


def _quoted(text: str) -> str:
    """A string in hydra's override grammar."""
    return "'" + text.replace("'", "\\'") + "'"


def _check_plain_keys(node: DictConfig, defined: DictConfig, place: Place) -> None:
    """RecipeError for a key or type that the group's own file does not have; components aside."""
    if "_target_" in node or place.key in STAND_INS:
        return
    names = [str(name) for name in defined]  # `in` does not see a key whose value is ???
    for key in node:
        if str(key) not in names and f"{place.key}.{key}" not in _MAY_BE_NULL:
            near = difflib.get_close_matches(str(key), names, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            if (moved := MOVED.get(f"{place.key}.{key}")) is not None:
                hint = f" It is {moved} now, of all stages."
            raise RecipeError(f"{place.at(key)} is unknown.{hint} Known keys: {', '.join(names)}")
    for name in names:
        here = place.at(name)
        found, usual = _raw(node, name), _raw(defined, name)
        if here.key in _MAY_BE_NULL and (found is None or is_component(found)):
            continue
        if name not in node:
            raise RecipeError(f"{here} is taken away; expected {usual!r}, or another value")
        if isinstance(found, DictConfig) and isinstance(usual, DictConfig):
            _check_plain_keys(found, usual, here)
        elif here.key not in PLAIN and not _is_alike(found, usual):
            kind = type(usual).__name__.removesuffix("Config").lower()
            raise RecipeError(f"{here} is {found!r}; expected {kind}, such as {usual!r}")


def _raw(node: DictConfig, key: Any) -> Any:
    if key not in node or OmegaConf.is_missing(node, key) or OmegaConf.is_interpolation(node, key):
        return None
    return node[key]


def _is_alike(found: object, usual: object) -> bool:
    """Whether a value may stand where the usual one stands: same type, or whole for real."""
    if usual is None or type(found) is type(usual):
        return True
    return type(usual) is float and type(found) is int


def _check_interpolations(node: Any, place: Place) -> None:
    """RecipeError for a `${key}` that there is not."""
    for key in list(node) if isinstance(node, DictConfig) else range(len(node)):
        if OmegaConf.is_missing(node, key):
            continue
        try:
            value = node[key]
        except (OmegaConfBaseException, RecursionError) as error:
            raise RecipeError(f"{place.at(key)}: {first_lines(error)}") from error
        if OmegaConf.is_config(value) and not OmegaConf.is_interpolation(node, key):
            _check_interpolations(value, place.at(key))


def _check_known_keys(config: DictConfig, base: DictConfig, place: Place) -> None:
    groups = [next(iter(d)) for d in base.defaults if OmegaConf.is_config(d)]
    known = [str(k) for k in [*base, *groups] if k != "defaults"]
    for key in config:
        if str(key) not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise RecipeError(
                f"{place.at(key).source}: unknown key {key!r}.{hint} Known keys: {', '.join(known)}"
            )
    for key in known:
        if key not in list(config):  # `in` does not see a key whose value is ???
            source = place.at(key).source
            raise RecipeError(f"{source}: {key} taken away; every recipe has {', '.join(known)}")
        is_table = key in groups or isinstance(_raw(base, key), DictConfig)
        if is_table and not isinstance(config[key], DictConfig):
            raise RecipeError(
                f"{place.at(key)} is {config[key]!r}; expected a table, or what `list` shows"
            )


def _check_stand_ins(config: DictConfig, key: str, component: str, place: Place) -> None:
    node, stood_for = OmegaConf.select(config, key), OmegaConf.select(config, component)
    if not isinstance(node, DictConfig) or not is_component(stood_for):
        return
    for name, given in node.items():
        for value in given if OmegaConf.is_list(given) else [given]:
            check_component(
                OmegaConf.create({"_target_": stood_for["_target_"], str(name): value}), place
            )
