"""Recipes: hydra configs, composed and checked before the first stage runs.

A recipe is `recipes/<name>/config.yaml`; its defaults list names groups of `unsup_asr/conf`. Every
node with `_target_` is checked against the fields of the dataclass it names, so that an unknown
key or a wrong type is an error with the key's full name, not a surprise an hour later.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import inspect
import re
import sys
import typing
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError, safe_load

from unsup_asr import PACKAGES
from unsup_asr.ranges import PLAIN, out_of_range

RECIPES = Path("recipes")
GROUPS = Path(__file__).resolve().parents[1] / "conf"
CONFIG_NAME = "config.yaml"
_WHOLE = "a whole number from 0"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_TRUST = "Allow it (--trust) only for models whose source you trust: docs/security.md"
_FOREIGN = f"is no class of this project. {_TRUST}"
# Modules that know names without a dot which a `_target_` may have: `names()` and `by_name(name)`.
NAME_PROVIDERS = ("unsup_asr.upstreams.registry",)


class RecipeError(ValueError):
    """A recipe or an override is wrong; the message says where and what was expected."""


def list_recipes(root: Path = RECIPES) -> list[str]:
    """Names of the recipes in a folder."""
    return sorted(path.parent.name for path in root.glob(f"*/{CONFIG_NAME}"))


def recipe_folder(name_or_path: str, root: Path = RECIPES) -> Path:
    """The folder of a recipe given by name or path."""
    path = Path(name_or_path)
    for folder in (root / path, path.parent if path.name == CONFIG_NAME else path):
        if (folder / CONFIG_NAME).is_file():
            return folder
    names = list_recipes(root)
    near = difflib.get_close_matches(name_or_path, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    known = ", ".join(names) if names else f"none in {root.resolve()}; run from the repository"
    raise RecipeError(f"no recipe named {name_or_path!r}.{hint} Recipes: {known}")


def load_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> DictConfig:
    """The whole config of a recipe, overrides applied and checked; RecipeError if it is wrong."""
    folder = recipe_folder(name_or_path).resolve()
    GlobalHydra.instance().clear()
    search = "hydra.searchpath=[" + _quoted(f"file://{GROUPS}") + "]"
    try:
        with initialize_config_dir(config_dir=str(folder), version_base="1.3"):
            config = compose(
                config_name=CONFIG_NAME.removesuffix(".yaml"),
                overrides=[search, *(_settable(override) for override in overrides)],
                return_hydra_config=True,
            )
        choices = dict(config.hydra.runtime.choices)
        config = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        base = _loaded(GROUPS / "base.yaml")
        OmegaConf.resolve(config)
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise RecipeError(f"{folder / CONFIG_NAME}: {_first_lines(error)}") from error
    where = str(folder / CONFIG_NAME)
    if missing := sorted(OmegaConf.missing_keys(config)):
        raise RecipeError(
            f"{where}: {', '.join(missing)} not given; write it into the recipe, or add "
            f"{missing[0]}=... to the command"
        )
    _check_known_keys(config, base, where)
    for group, choice in choices.items():
        defined = GROUPS / group / f"{choice}.yaml"
        if group in config and defined.is_file():
            _check_plain_keys(config[group], _loaded(defined), f"{where}: {group}")
    _check_plain_keys(config.runtime, base.runtime, f"{where}: runtime")
    for path, node in components(config):
        check_component(node, f"{where}: {path}")
    return config


def check_component(node: DictConfig, where: str) -> None:
    """RecipeError when a `_target_` node has an unknown key or a value of the wrong type."""
    target = _locate(str(node["_target_"]), where)
    if isinstance(target, partial):  # a name that stands for a class with options
        target = target.func
    if not _can_be_component(target):
        raise RecipeError(
            f"{where}: _target_ {str(node['_target_'])!r} is no component; expected a class of "
            "this project or of a plug-in (contracts: unsup_asr/protocols.py)"
        )
    options = {k: v for k, v in node.items() if k != "_target_"}
    accepted = _accepted_options(target)
    for key in options:
        if accepted is not None and key not in accepted:
            near = difflib.get_close_matches(str(key), accepted, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise RecipeError(
                f"{where}.{key} is not an option of {node['_target_']}.{hint} "
                f"Options: {', '.join(accepted)}"
            )
    if dataclasses.is_dataclass(target):
        for option in dataclasses.fields(target):
            if option.name in options and not _is_component(options[option.name]):
                name = f"{where}.{option.name}"
                node[option.name] = _checked(target, option, options[option.name], name)


def check_own(node: DictConfig, where: str) -> None:
    """ValueError for a component that is no class of this distribution or installed by its name.

    What a model folder names is data of somebody's, not code: it may choose among what is here,
    and may not have files unpickled. Nothing foreign is imported to find out.
    """
    for path, component in components(node):
        name = str(component["_target_"])
        if "." in name and name.partition(".")[0] not in PACKAGES:
            raise ValueError(f"{where}: {path} is {name!r}, which {_FOREIGN}")
        target = _locate(name, where)
        found = target.func if isinstance(target, partial) else target
        if "." in name and not (
            inspect.isclass(found) and found.__module__.partition(".")[0] in PACKAGES
        ):
            raise ValueError(f"{where}: {path} is {name!r}, which {_FOREIGN}")
        if component.get("trust_checkpoint"):
            raise ValueError(
                f"{where}: {path} has trust_checkpoint, which runs code of a file. {_TRUST}"
            )


def check_recipe_name(name: object, where: str) -> None:
    """RecipeError for a name that could not be a folder's, or that YAML would not read as text."""
    is_text = isinstance(name, str) and _NAME.fullmatch(name) and type(safe_load(name)) is str
    if not is_text:
        raise RecipeError(
            f"{where} is {name!r}; expected letters, digits, - and _, beginning with a letter or "
            "digit, and not a word that YAML reads as another value (null, true, 1e5)"
        )


def instantiate(node: DictConfig) -> Any:
    """The object that a `_target_` node describes, nested components first."""
    target = _locate(str(node["_target_"]), "config")
    options: dict[str, Any] = {}
    for key, value in node.items():
        if key == "_target_":
            continue
        if _is_component(value):
            options[str(key)] = instantiate(value)
        else:
            options[str(key)] = (
                OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
            )
    return target(**options)


def components(node: Any, path: str = "") -> Iterator[tuple[str, DictConfig]]:
    """Every node with a `_target_`, outermost first, with its full name."""
    if not isinstance(node, DictConfig):
        return
    if "_target_" in node:
        yield path, node
    for key, child in node.items():
        yield from components(child, f"{path}.{key}" if path else str(key))


def _loaded(path: Path) -> DictConfig:
    loaded = OmegaConf.load(path)
    assert isinstance(loaded, DictConfig)
    return loaded


def _settable(override: str) -> str:
    """The override, allowed to name an option that no file spells out; it is checked later."""
    key = override.partition("=")[0]
    is_group = (GROUPS / key).is_dir()
    return override if is_group or not key[:1].isalpha() else f"++{override}"


def _quoted(text: str) -> str:
    """A string in hydra's override grammar."""
    return "'" + text.replace("'", "\\'") + "'"


def _check_plain_keys(node: DictConfig, defined: DictConfig, where: str) -> None:
    """RecipeError for a key or type that the group's own file does not have; components aside."""
    if "_target_" in node:
        return
    names = [str(name) for name in defined]  # `in` does not see a key whose value is ???
    for key in node:
        if str(key) not in names:
            near = difflib.get_close_matches(str(key), names, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise RecipeError(f"{where}.{key} is unknown.{hint} Known keys: {', '.join(names)}")
        found, usual = _raw(node, key), _raw(defined, key)
        if isinstance(found, DictConfig) and isinstance(usual, DictConfig):
            _check_plain_keys(found, usual, f"{where}.{key}")
        elif not _is_alike(found, usual):
            kind = type(usual).__name__.removesuffix("Config").lower()
            raise RecipeError(f"{where}.{key} is {found!r}; expected {kind}, such as {usual!r}")


def _raw(node: DictConfig, key: Any) -> Any:
    if OmegaConf.is_missing(node, key) or OmegaConf.is_interpolation(node, key):
        return None
    return node[key]


def _is_alike(found: object, usual: object) -> bool:
    """Whether a value may stand where the usual one stands: same type, or whole for real."""
    if found is None or usual is None or type(found) is type(usual):
        return True
    return type(usual) is float and type(found) is int


def _check_known_keys(config: DictConfig, base: DictConfig, where: str) -> None:
    groups = [next(iter(d)) for d in base.defaults if OmegaConf.is_config(d)]
    known = [str(k) for k in [*base, *groups] if k != "defaults"]
    for key in config:
        if str(key) not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise RecipeError(f"{where}: unknown key {key!r}.{hint} Known keys: {', '.join(known)}")
    if absent := [key for key in known if key not in config]:
        raise RecipeError(f"{where}: {', '.join(absent)} taken away; every recipe has {known}")
    check_recipe_name(config.recipe, f"{where}: recipe")
    for key, annotation in PLAIN.items():
        expected = out_of_range(value := OmegaConf.select(config, key), annotation)
        if expected is not None or (key == "seed" and type(value) is not int):
            raise RecipeError(f"{where}: {key} is {value!r}; expected {expected or _WHOLE}")


def _is_component(value: object) -> bool:
    return isinstance(value, DictConfig) and "_target_" in list(value)


def _locate(target: str, where: str) -> Any:
    module_name, _, name = target.rpartition(".")
    if not module_name:
        known: list[str] = []
        for provider in map(importlib.import_module, NAME_PROVIDERS):
            if target in provider.names():
                return provider.by_name(target)
            known += provider.names()
        raise RecipeError(
            f"{where}: _target_ {target!r} cannot be imported (it has no dot); expected "
            f"package.module.Name, or the name of an upstream: {', '.join(known)}"
        )
    try:
        return getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise RecipeError(
            f"{where}: _target_ {target!r} cannot be imported ({error}); "
            "expected package.module.Name"
        ) from error


def _can_be_component(target: Any) -> bool:
    """Nothing of Python's own, such as `os.system`, is called because a recipe names it."""
    package = (getattr(target, "__module__", "") or "").partition(".")[0]
    return callable(target) and package not in sys.stdlib_module_names


def _accepted_options(target: Any) -> list[str] | None:
    """Names of its options; None when it takes any."""
    if dataclasses.is_dataclass(target):
        return [option.name for option in dataclasses.fields(target) if option.init]
    parameters = inspect.signature(target).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return [p.name for p in parameters]


def _checked(target: Any, option: dataclasses.Field[Any], value: Any, where: str) -> Any:
    """The value as the field's type; OmegaConf converts it, alone in a class of its own."""
    annotations = (inspect.get_annotations(base, eval_str=True) for base in target.__mro__)
    expected = next(found[option.name] for found in annotations if option.name in found)
    probe = dataclasses.make_dataclass("_Probe", [("value", expected)])
    try:
        schema = OmegaConf.structured(probe)
    except OmegaConfBaseException:
        return value  # an annotation that OmegaConf has no rule for
    try:
        converted = OmegaConf.merge(schema, {"value": value}).value
    except OmegaConfBaseException as error:
        plain_type = typing.get_type_hints(probe)["value"]  # without its range
        name = getattr(plain_type, "__name__", str(plain_type))
        raise RecipeError(f"{where} is {value!r}; expected {name}") from error
    found = OmegaConf.to_container(value) if OmegaConf.is_config(value) else converted
    if (wanted := out_of_range(found, expected)) is not None:
        raise RecipeError(f"{where} is {found!r}; expected {wanted}")
    return value if OmegaConf.is_config(value) else converted


def _first_lines(error: Exception) -> str:
    text = str(error).partition("Config search path")[0].partition("See https://")[0]
    return "; ".join([line.strip() for line in text.splitlines() if line.strip()][:20])
