"""Documents name what exists: modules, files, options and commands."""

from __future__ import annotations

import ast
import importlib.util
import re
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

import unsup_asr
from unsup_asr.engine.config import GROUPS, list_recipes, load_recipe

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PAGES += sorted((ROOT / "recipes").glob("*/README.md"))
_FILE = re.compile(r"`((?:unsup_asr|segmentation|gan|lm|tests|benchmarks|recipes|docs)/[\w./-]+)`")
_MODULE = re.compile(r"\b((?:unsup_asr|segmentation|gan|lm|benchmarks|tests)(?:\.[a-z_0-9]+)+)\b")
_GROUPS = sorted(path.name for path in GROUPS.iterdir() if path.is_dir())
_OPTION = re.compile(rf"\b(?:{'|'.join(_GROUPS)})(?:\.[a-z_]+)+(?=[ =,.;:)`'\"\]]|$)")
_FILES_OF_STAGES = (".json", ".txt", ".tsv", ".arpa", ".npy", ".html", ".jsonl", ".md", ".py")


@cache
def known_options() -> frozenset[str]:
    """Full names of all options of every choice of every group."""
    known: set[str] = set()
    for path in sorted(GROUPS.glob("*/*.yaml")):
        group = path.parent.name
        loaded = OmegaConf.load(path)
        assert isinstance(loaded, DictConfig)
        known |= {f"{group}.{name}".rstrip(".") for name in _names(loaded)}
    runtime = load_recipe(str(ROOT / "recipes" / "toy")).runtime
    return frozenset(known | {f"runtime.{name}" for name in runtime})


def _names(node: DictConfig, prefix: str = "") -> set[str]:
    """Names of the options below a node; a component's are the fields of its class."""
    given = [str(key) for key in node]
    found = {f"{prefix}{key}" for key in given}
    if "_target_" in given:
        found |= {f"{prefix}{name}" for name in _fields_of(str(node["_target_"]))}
    for key in given:
        if not OmegaConf.is_missing(node, key) and not OmegaConf.is_interpolation(node, key):
            child = node[key]
            found |= _names(child, f"{prefix}{key}.") if isinstance(child, DictConfig) else set()
    return found


def _fields_of(target: str) -> set[str]:
    if "." not in target:
        return set()
    module, _, name = target.rpartition(".")
    found = getattr(importlib.import_module(module), name)
    return {field.name for field in fields(found)} if is_dataclass(found) else set()


def options_named(text: str) -> set[str]:
    found = {match[0] for match in _OPTION.finditer(text)}
    modules = ("gan.", "matching.", "text.", "words.", "corpus.")
    return {
        name
        for name in found
        if not name.endswith(_FILES_OF_STAGES)
        and not (name.startswith(modules) and _is_module(name))
    }


def _is_module(name: str) -> bool:
    """Whether it is one, or something in one."""
    while "." in name:
        try:
            if importlib.util.find_spec(name) is not None:
                return True
        except ModuleNotFoundError:
            pass
        name = name.rpartition(".")[0]
        if name in ("gan", "lm", "segmentation", "unsup_asr"):
            return False
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_modules_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    files = [name for name in _FILE.findall(text) if not (ROOT / name.rstrip("/")).exists()]
    patterns = [name for name in files if "*" in name or "<" in name]
    assert set(files) <= set(patterns)
    facade = {f"unsup_asr.{name}" for name in unsup_asr.__all__}
    modules = {name for name in _MODULE.findall(text) if not _is_module(name)}
    assert modules - facade - known_options() == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_options_that_a_page_names_exist(page: Path) -> None:
    assert options_named(page.read_text("utf-8")) - known_options() == set()


def test_a_wrong_option_and_a_wrong_module_are_seen() -> None:
    text = "set text.language=de, see gan.trainer.updates and `gan.nowhere.x`"
    assert options_named(text) - known_options() == {"text.language", "gan.nowhere.x"}
    assert not _is_module("unsup_asr.stages")
    assert _is_module("unsup_asr.engine.stages.Stage")


def test_options_that_messages_name_exist() -> None:
    """A remedy that cannot be followed is none."""
    known, wrong = known_options(), set()
    for package in ("unsup_asr", "segmentation", "gan", "lm"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    named = options_named(node.value) - known
                    wrong |= {(str(path.relative_to(ROOT)), name) for name in named}
    assert wrong == set()


def test_commands_that_pages_name_exist() -> None:
    recipes = set(list_recipes(ROOT / "recipes"))
    for page in PAGES:
        for recipe in re.findall(
            r"unsup-asr (?:run|status|validate) (\w+)", page.read_text("utf-8")
        ):
            assert recipe in recipes | {"RECIPE", "swahili", "mine"}, (page, recipe)
