"""Documents name what exists: files, modules, options, commands and their flags, links."""

from __future__ import annotations

import ast
import importlib
import io
import re
from contextlib import redirect_stdout
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

import unsup_asr
from unsup_asr.cli import main
from unsup_asr.engine.recipe import MOVED, load_recipe
from unsup_asr.engine.recipe_files import GROUPS, list_recipes

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PAGES += sorted((ROOT / "recipes").glob("*/README.md"))
PACKAGES = (*unsup_asr.PACKAGES, "benchmarks", "tests")
_FILE = re.compile(rf"(?<![\w./-])(?:{'|'.join(PACKAGES)}|recipes|docs)/[\w./*-]*[\w/*]")
_ROOMS = sorted(path.name for path in (ROOT / "unsup_asr").iterdir() if path.is_dir())
_FILE_OF_SPINE = re.compile(rf"(?<![\w./-])(?:{'|'.join(_ROOMS)})/[\w./*-]+\.(?:py|yaml|tsv)\b")
_CODE_FILE = re.compile(r"(?<![\w./*-])[a-z]\w*\.py\b")  # a file by its name alone
_ONES_OWN = re.compile(r"(?:test_)?my_\w+\.py")
_MODULE = re.compile(rf"(?<![\w./-])(?:{'|'.join(PACKAGES)})(?:\.[A-Za-z_]\w*)+")
_GROUPS = sorted(path.name for path in GROUPS.iterdir() if path.is_dir())
_OPTION = re.compile(rf"\b(?:{'|'.join(_GROUPS)})(?:\.[a-z_]+)+(?=[ =,.;:)`'\"\]]|$)")
_CHOICE = re.compile(rf"(?<![\w.])({'|'.join(_GROUPS)})=([a-z]\w*)(?![\w.]*=)")
_FILES_OF_STAGES = (".json", ".txt", ".tsv", ".arpa", ".npy", ".html", ".jsonl", ".md", ".py")
_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
_COMMAND = re.compile(r"(?<![\w'-])unsup-asr ((?:lm )?[a-z-]+)([^`\n]*)")
_BENCHMARK = re.compile(
    r"python (?:-m )?benchmarks[./](\w+(?:[./](?!py\b)\w+)?)(?:\.py)?\b([^`\n]*)"
)
_LINK = re.compile(r"\]\(([^)\s:]*)\)")


ALL_VERBS = (
    *("run", "sweep", "status", "validate", "evaluate", "compare", "report", "transcribe", "list"),
    *("export", "export-data", "import", "serve"),
    *("new-recipe", "doctor", "lm estimate", "lm perplexity", "lm decode", "lm tune"),
    *("diagnose", "clean"),
)


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
    modules = ("gan.", "matching.", "segmentation.", "text.", "words.", "corpus.")
    return {
        name
        for name in found
        if not name.endswith(_FILES_OF_STAGES)
        and not (name.startswith(modules) and _is_module(name))
    }


def _is_module(name: str) -> bool:
    """Whether it is a module of the tree, or what a module defines."""
    place, parts = ROOT, name.split(".")
    while parts and (place / parts[0]).is_dir():
        place /= parts.pop(0)
    if not parts:
        return True
    file = place / f"{parts.pop(0)}.py"
    return file.is_file() and (not parts or parts[0] in _defined_in(file))


@cache
def _defined_in(file: Path) -> frozenset[str]:
    """Names at the top of a module, imported ones aside."""
    found: set[str] = set()
    for node in ast.parse(file.read_text("utf-8")).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            found.add(node.name)
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return frozenset(found)


@cache
def flags_of(verb: str) -> frozenset[str] | None:
    """Flags that the help of a command names; None where there is no such command."""
    said = io.StringIO()
    with redirect_stdout(said), pytest.raises(SystemExit) as end:
        main([*verb.split(), "--help"])
    return None if end.value.code else frozenset(_FLAG.findall(said.getvalue()))


def flags_of_benchmark(name: str) -> set[str]:
    source = (ROOT / "benchmarks" / f"{name}.py").read_text("utf-8")
    return set(re.findall(r'"(--[a-z-]+)"', source))


def wrong_files(text: str) -> set[str]:
    """Paths and names of code files in a text that are not in the tree."""
    known = {path.name for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    names = {name for name in _CODE_FILE.findall(text) if not _ONES_OWN.fullmatch(name)}
    paths = {name for name in _FILE.findall(text) if not any(ROOT.glob(name.rstrip("/")))}
    spine = ROOT / "unsup_asr"
    inside = {name for name in _FILE_OF_SPINE.findall(text) if not any(spine.glob(name))}
    return (names - known) | paths | inside


def wrong_modules(text: str) -> set[str]:
    """Dotted names below this project's packages that are no module, nor defined in one."""
    facade = {f"unsup_asr.{name}" for name in unsup_asr.__all__}
    found = {name for name in _MODULE.findall(text) if not name.endswith(_FILES_OF_STAGES)}
    return {name for name in found if not _is_module(name)} - facade - known_options()


def wrong_commands(text: str) -> set[str]:
    """Commands and benchmarks that do not exist, and their flags that they do not have."""
    wrong: set[str] = set()
    for verb, rest in _COMMAND.findall(text):
        flags = flags_of(verb)
        unknown = set(_FLAG.findall(rest)) - (flags or set())
        wrong |= {f"unsup-asr {verb} {flag}" for flag in unknown} if flags else {verb}
    for found, rest in _BENCHMARK.findall(text):
        name = found.replace(".", "/")
        if not (ROOT / "benchmarks" / f"{name}.py").is_file():
            wrong.add(f"benchmarks.{found}")
        else:
            wrong |= set(_FLAG.findall(rest)) - flags_of_benchmark(name)
    return wrong


def wrong_links(page: Path, text: str) -> set[str]:
    """Links to files that are not there, or to headings that a page does not have."""
    wrong: set[str] = set()
    for link in _LINK.findall(text):
        path, _, heading = link.partition("#")
        target = page.parent / path if path else page
        exists = target.exists() and (not heading or heading in _anchors(target))
        wrong |= set() if exists else {link}
    return wrong


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"(?m)^#+ (.+)$", page.read_text("utf-8"))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_modules_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    assert wrong_files(text) == set()
    assert wrong_modules(text) == set()
    assert wrong_links(page, text) == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_and_flags_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    assert wrong_commands(text) == set()
    every = set().union(*(flags_of(verb) or set() for verb in ALL_VERBS))
    benchmarks = (ROOT / "benchmarks").rglob("*.py")
    names = (p.relative_to(ROOT / "benchmarks").with_suffix("").as_posix() for p in benchmarks)
    every |= set().union(*map(flags_of_benchmark, names))
    assert set(_FLAG.findall(text)) - every == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_options_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    assert options_named(text) - known_options() == set()
    choices = {(group, name) for group, name in _CHOICE.findall(text) if name != "null"}
    assert {c for c in choices if not (GROUPS / c[0] / f"{c[1]}.yaml").is_file()} == set()


def test_what_does_not_exist_is_seen(tmp_path: Path) -> None:
    text = "set text.language=de, see gan.trainer.updates and `gan.nowhere.x`, gan.trainer.speed"
    assert options_named(text) - known_options() == {
        "text.language",
        "gan.nowhere.x",
        "gan.trainer.speed",
    }
    text = "unsup_asr/stages.py, `lm/beam.py`, losses.py, `frames_of.py`; tests/gan/test_*.py"
    assert wrong_files(text) == {"unsup_asr/stages.py", "frames_of.py"}
    text = "`conf/gan/w2vu*.yaml` and `formats/lines.py`, but speech/lines.py"
    assert wrong_files(text) == {"speech/lines.py"}
    text = "unsup_asr.stages, unsup_asr.engine.stages.Stage and .Sage: unsup_asr.engine.stages.Sage"
    assert wrong_modules(text) == {"unsup_asr.stages", "unsup_asr.engine.stages.Sage"}
    text = "unsup-asr run x --fast; `unsup-asr lm guess`, python -m benchmarks.decode --slow"
    assert wrong_commands(text) == {"unsup-asr run --fast", "lm guess", "--slow"}
    page = tmp_path / "page.md"
    page.write_text("# A heading, `code`\n", "utf-8")
    text = "[a](#a-heading-code) [b](#b) [c](other.md) [d](page.md)"
    assert wrong_links(page, text) == {"#b", "other.md"}


def test_options_that_messages_name_exist() -> None:
    """A remedy that cannot be followed is none."""
    known = known_options()
    assert not set(MOVED) & known
    assert set(MOVED.values()) <= known
    known |= {"text.parse_math", "text.color", *MOVED}  # the first two are matplotlib's
    wrong: set[tuple[str, str]] = set()
    for package in ("unsup_asr", "segmentation", "gan", "lm"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    named = options_named(node.value) - known
                    wrong |= {(str(path.relative_to(ROOT)), name) for name in named}
    assert wrong == set()


def test_recipes_that_pages_name_exist() -> None:
    recipes = set(list_recipes(ROOT / "recipes"))
    for page in PAGES:
        for recipe in re.findall(
            r"unsup-asr (?:run|status|validate) (\w+)", page.read_text("utf-8")
        ):
            assert recipe in recipes | {"RECIPE", "swahili", "mine"}, (page, recipe)
