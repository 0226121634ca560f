"""Components: nodes of a config whose `_target_` names a class, and their options as its fields.

Each is checked against the fields of the dataclass it names, so that an unknown key or a wrong
type is an error with the key's full name, not a surprise an hour later.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import inspect
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

from omegaconf import DictConfig, OmegaConf

from unsup_asr import PACKAGES
from unsup_asr.engine.overrides import Place
from unsup_asr.engine.recipe_files import (
    RecipeError,
)
from unsup_asr.ranges import as_annotated, expected

_TRUST = "Allow it (--trust) only for models whose source you trust: docs/security.md"
_FOREIGN = f"is no class of this project. {_TRUST}"
# Modules that know names without a dot which a `_target_` may have: `names()` and `by_name(name)`.
NAME_PROVIDERS = ("unsup_asr.upstreams.registry",)


def check_component(node: DictConfig, place: Place) -> None:
    """RecipeError when a `_target_` node has an unknown key or a value of the wrong type."""
    target = _locate(str(node["_target_"]), place.at("_target_"))
    if isinstance(target, partial):  # a name that stands for a class with options
        target = target.func
    if not _can_be_component(target):
        raise RecipeError(
            f"{place.at('_target_')} is {str(node['_target_'])!r}, which is no component; expected "
            "a class of this project or of a plug-in (contracts: unsup_asr/protocols.py)"
        )
    options = {k: v for k, v in node.items() if k != "_target_"}
    accepted = _accepted_options(target)
    for key in options:
        if accepted is not None and key not in accepted:
            near = difflib.get_close_matches(str(key), accepted, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise RecipeError(
                f"{place.at(key)} is not an option of {node['_target_']}.{hint} "
                f"Options: {', '.join(accepted)}"
            )
    if dataclasses.is_dataclass(target):
        for option in dataclasses.fields(target):
            if option.name in options and not is_component(options[option.name]):
                annotation = _annotation(target, option.name)
                value = options[option.name]
                node[option.name] = checked_value(annotation, value, place.at(option.name))


def foreign(node: Any) -> list[str]:
    """Classes that a config names and that are neither this project's nor installed by a name."""
    names = [str(component["_target_"]) for _, component in components(node)]
    return [name for name in names if "." in name and name.partition(".")[0] not in PACKAGES]


def check_own(node: DictConfig, where: str) -> None:
    """ValueError for a component that is no class of this distribution or installed by its name.

    What a model folder names is data of somebody's, not code: it may choose among what is here,
    and may not have files unpickled. Nothing foreign is imported to find out.
    """
    for path, component in components(node):
        name = str(component["_target_"])
        if "." in name and name.partition(".")[0] not in PACKAGES:
            raise ValueError(f"{where}: {path} is {name!r}, which {_FOREIGN}")
        target = _locate(name, Place(where, f"{path}._target_"))
        found = target.func if isinstance(target, partial) else target
        if "." in name and not (
            inspect.isclass(found) and found.__module__.partition(".")[0] in PACKAGES
        ):
            raise ValueError(f"{where}: {path} is {name!r}, which {_FOREIGN}")
        if component.get("trust_checkpoint"):
            raise ValueError(
                f"{where}: {path} has trust_checkpoint, which runs code of a file. {_TRUST}"
            )


def instantiate(node: DictConfig) -> Any:
    """The object that a `_target_` node describes, nested components first."""
    target = _locate(str(node["_target_"]), Place("config", "_target_"))
    options: dict[str, Any] = {}
    for key, value in node.items():
        if key == "_target_":
            continue
        if is_component(value):
            options[str(key)] = instantiate(value)
        else:
            options[str(key)] = (
                OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
            )
    return target(**options)


def build_all(config: DictConfig) -> int:
    """How many components can be built; ValueError for options that are wrong together.

    What a stage gives the rest of its options, such as the model of an earlier one, is left to it.
    """
    count = 0
    for path, node in components(config):
        if any(_lacks_options(inner) for _, inner in components(node)):
            continue
        try:
            instantiate(node)
        except (ValueError, TypeError, ImportError) as error:
            raise ValueError(f"{path}: {error}") from error
        count += 1
    return count


def components(node: Any, path: str = "") -> Iterator[tuple[str, DictConfig]]:
    """Every node with a `_target_`, outermost first, with its full name."""
    if not isinstance(node, DictConfig):
        return
    if "_target_" in node:
        yield path, node
    for key, child in node.items():
        yield from components(child, f"{path}.{key}" if path else str(key))


def is_component(value: object) -> bool:
    """Whether a value of a config is a node with a `_target_`."""
    return isinstance(value, DictConfig) and "_target_" in list(value)


def _locate(target: str, place: Place) -> Any:
    module_name, _, name = target.rpartition(".")
    if not module_name:
        known: list[str] = []
        for provider in map(importlib.import_module, NAME_PROVIDERS):
            if target in provider.names():
                return provider.by_name(target)
            known += provider.names()
        raise RecipeError(
            f"{place} is {target!r}, which cannot be imported (it has no dot); expected "
            f"package.module.Name, or the name of an upstream: {', '.join(known)}"
        )
    try:
        return getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise RecipeError(
            f"{place} is {target!r}, which cannot be imported ({error}); "
            "expected package.module.Name"
        ) from error


def _can_be_component(target: Any) -> bool:
    """Nothing of Python's own, such as `os.system`, is called because a recipe names it."""
    package = (getattr(target, "__module__", "") or "").partition(".")[0]
    return callable(target) and package not in sys.stdlib_module_names


def _lacks_options(node: DictConfig) -> bool:
    parameters = inspect.signature(_locate(str(node["_target_"]), Place("config"))).parameters
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return any(
        p.default is p.empty and p.kind not in several and p.name not in node
        for p in parameters.values()
    )


def _accepted_options(target: Any) -> list[str] | None:
    """Names of its options; None when it takes any."""
    if dataclasses.is_dataclass(target):
        return [option.name for option in dataclasses.fields(target) if option.init]
    parameters = inspect.signature(target).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return [p.name for p in parameters]


def _annotation(target: Any, name: str) -> Any:
    annotations = (inspect.get_annotations(base, eval_str=True) for base in target.__mro__)
    return next(found[name] for found in annotations if name in found)


def checked_value(annotation: Any, value: Any, place: Place) -> Any:
    """The value, as its option's annotation wants it; RecipeError where it cannot be."""
    found = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    said = place.given.get(place.key)
    if said and annotation in (str, str | None) and not isinstance(found, str | None):
        return said.text  # a file may be named 1e5, true or [2020]
    if (wanted := expected(found, annotation)) is not None:
        raise RecipeError(f"{place} is {found!r}; expected {wanted}")
    return as_annotated(value, annotation)
