"""Recipes on disk: where they lie, what they may be named, and that they are small YAML."""

from __future__ import annotations

import difflib
import math
import re
import sysconfig
from pathlib import Path

import yaml
from omegaconf import OmegaConf

RECIPES = Path("recipes")  # one's own, where commands are run
_CHECKOUT = Path(__file__).resolve().parents[2] / "recipes"
_INSTALLED = Path(sysconfig.get_path("data")) / "share" / "unsup-asr" / "recipes"
SHIPPED = _CHECKOUT if _CHECKOUT.is_dir() else _INSTALLED
GROUPS = Path(__file__).resolve().parents[1] / "conf"
CONFIG_NAME = "config.yaml"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_MAX_BYTES = 1_000_000
MAX_VALUES = 100_000  # of a file, aliases (`*name`) written out


class RecipeError(ValueError):
    """A recipe or an override is wrong; the message says where and what was expected."""


def list_recipes(root: Path = RECIPES) -> list[str]:
    """Names of the recipes in a folder."""
    return sorted(path.parent.name for path in root.glob(f"[!.]*/{CONFIG_NAME}"))


def recipe_folder(name_or_path: str, root: Path = RECIPES) -> Path:
    """The folder of a recipe given by name or path, its files checked: one of one's own, else one
    that came with the package.
    """
    path = Path(name_or_path)
    own = path.parent if path.name == CONFIG_NAME else path
    for folder in (root / path, own, SHIPPED / path):
        if (folder / CONFIG_NAME).is_file():
            for file in [*folder.glob("*.yaml"), *folder.glob("*/*.yaml")]:
                _check_size(file)
            return folder
    names = sorted({*list_recipes(root), *list_recipes(SHIPPED)})
    near = difflib.get_close_matches(name_or_path, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise RecipeError(f"no recipe named {name_or_path!r}.{hint} Recipes: {', '.join(names)}")


def check_recipe_name(name: object, where: object) -> None:
    """RecipeError for a name that could not be a folder's, or that YAML would not read as text."""
    is_name = isinstance(name, str) and _NAME.fullmatch(name) is not None
    if not is_name or type(OmegaConf.create(f"- {name}")[0]) is not str:
        raise RecipeError(
            f"{where} is {name!r}; expected up to 100 letters, digits, - and _, beginning with a "
            "letter or digit, and not a word that YAML reads as another value (null, true, 1e5)"
        )


def first_lines(error: Exception) -> str:
    """What hydra, OmegaConf or YAML say, in one line and without their advice to developers."""
    text = str(error)
    for end in ("Config search path", "See https://", "full_key:"):
        text = text.partition(end)[0]
    return "; ".join([line.strip() for line in text.splitlines() if line.strip()][:20])


def _check_size(file: Path) -> None:
    """RecipeError for what would take all time or memory to load, or is no YAML."""
    if (found := file.stat().st_size) > _MAX_BYTES:
        raise RecipeError(f"{file}: {found} bytes; expected a recipe of at most {_MAX_BYTES}")
    try:
        root = yaml.compose(file.read_bytes(), Loader=yaml.SafeLoader)
        size = 0 if root is None else num_values(root, {})
    except yaml.YAMLError as error:
        raise RecipeError(f"{file}: {first_lines(error)}") from error
    except RecursionError:
        root, size = None, math.inf
    if root is not None and not isinstance(root, yaml.MappingNode):
        raise RecipeError(f"{file}: holds {root.id}s; expected a table, `key: value` on each line")
    if size > MAX_VALUES:
        raise RecipeError(
            f"{file}: {size:.0f} values when its aliases (*name) are written out, or endlessly "
            f"nested; expected at most {MAX_VALUES}"
        )


def num_values(node: yaml.Node, known: dict[yaml.Node, float]) -> float:
    """Values in a node, each alias counted in full; without end where one holds itself."""
    if node not in known:
        known[node] = math.inf
        inside = []
        if isinstance(node, yaml.SequenceNode):
            inside = node.value
        elif isinstance(node, yaml.MappingNode):
            inside = [part for pair in node.value for part in pair]
        known[node] = 1 + sum(num_values(part, known) for part in inside)
    return known[node]
