"""Options of the command line: `key=value`, and `~key` to take one away.

A value is read as YAML where it is a whole number, real number, true, false, null, [a list],
{a: table} or 'quoted', and is the text itself otherwise: any path can be written as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from unsup_asr.engine.recipe_files import MAX_VALUES, RecipeError, first_lines, num_values

_OVERRIDE = re.compile(r"\+{0,2}([^\s=~+.\[\]]+(?:\.[^\s=.\[\]]+)*)=(.*)", re.DOTALL)
_REMOVAL = re.compile(r"~([^\s=~+.\[\]]+(?:\.[^\s=.\[\]]+)*)")
_WORDS = {"null": None, "true": True, "false": False}
_INT = re.compile(r"[+-]?(0|[1-9](_?\d){0,99})", re.ASCII)
_FLOAT = re.compile(
    r"[+-]?(\d+\.\d*|\.\d+|\d+(?=e))(e[+-]?\d+)?|[+-]?\.?(inf|nan)", re.ASCII | re.IGNORECASE
)
_NODES = {"[": yaml.SequenceNode, "{": yaml.MappingNode, "'": yaml.ScalarNode, '"': yaml.ScalarNode}


@dataclass(frozen=True)
class Override:
    """One option of the command line; `text` is what follows `=`, None for `~key`."""

    key: str
    text: str | None

    @property
    def value(self) -> object:
        """What the text stands for."""
        return None if self.text is None else value_of(self.text)

    def apply(self, config: DictConfig, *, as_text: bool = False) -> None:
        """Set, its text itself if so asked, or take away; what is an option is checked later."""
        parent, _, name = self.key.rpartition(".")
        try:
            if self.text is not None:
                is_text = as_text and self.value is not None
                value = self.text if is_text else self.value
                OmegaConf.update(config, self.key, value, merge=True, force_add=True)
                return
            node = OmegaConf.select(config, parent) if parent else config
            if isinstance(node, DictConfig) and name in list(node):
                OmegaConf.set_struct(node, False)
                node.pop(name)
                return
        except (OmegaConfBaseException, TypeError, ValueError) as error:
            raise RecipeError(f"the command line: {self.key}: {first_lines(error)}") from error
        raise RecipeError(f"the command line: ~{self.key}: there is no such option to take away")


@dataclass(frozen=True)
class Place:
    """Where an option was written: in a file or, if its key is `given`, on the command line."""

    file: str
    key: str = ""
    given: Mapping[str, Override] = field(default_factory=dict)  # by key

    def at(self, name: object) -> Place:
        """The place of an option inside."""
        return replace(self, key=f"{self.key}.{name}" if self.key else str(name))

    @property
    def source(self) -> str:
        """The command line where it gave the option, one inside, or one that this is inside of."""
        here = f"{self.key}."
        is_given = any(here.startswith(f"{k}.") or f"{k}.".startswith(here) for k in self.given)
        return "the command line" if is_given else self.file

    def __str__(self) -> str:
        return f"{self.source}: {self.key}"


def read_override(text: str) -> Override:
    """One argument of the command line; RecipeError where it is neither `key=value` nor `~key`."""
    if found := _OVERRIDE.fullmatch(text):
        return Override(found[1], found[2])
    if found := _REMOVAL.fullmatch(text):
        return Override(found[1], None)
    raise RecipeError(
        f"the command line: {text!r}; expected key=value, such as seed=1, or ~key to take one away"
    )


def value_of(text: str) -> object:
    """What a text on the command line stands for."""
    expected = _NODES.get(text.lstrip()[:1])
    if expected is None:
        return _plain_value(text)
    try:
        node = yaml.compose(text, yaml.SafeLoader)
        if not isinstance(node, expected) or num_values(node, {}) > MAX_VALUES:
            return text
        return _value_of_node(node)
    except (yaml.YAMLError, _NotPlain, RecursionError):
        return text


class _NotPlain(Exception):
    """A table with a name that has no value."""


def _value_of_node(node: yaml.Node) -> object:
    if isinstance(node, yaml.ScalarNode):
        return node.value if node.style else _plain_value(node.value)
    if isinstance(node, yaml.SequenceNode):
        return [_value_of_node(part) for part in node.value]
    assert isinstance(node, yaml.MappingNode)
    return dict(_entry(key, value) for key, value in node.value)


def _entry(key: yaml.Node, value: yaml.Node) -> tuple[object, object]:
    """One of a table; `{a:b}` is one too, though YAML wants a space there."""
    if isinstance(value, yaml.ScalarNode) and not value.value and not value.style:
        name, colon, text = str(key.value).partition(":")
        if not colon:
            raise _NotPlain
        return name, value_of(text)
    return key.value, _value_of_node(value)


def _plain_value(text: str) -> object:
    bare = text.strip()
    if bare.lower() in _WORDS:
        return _WORDS[bare.lower()]
    if _INT.fullmatch(bare):
        return int(bare)
    if _FLOAT.fullmatch(bare):
        return float(bare.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text
