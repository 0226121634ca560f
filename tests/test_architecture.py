"""The shape that ARCHITECTURE promises: who imports whom, what is packaged, who sees references."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from unsup_asr import PACKAGES
from unsup_asr.engine.keys import stage_keys
from unsup_asr.engine.recipe import STAND_INS, load_recipe
from unsup_asr.engine.stages import Stage, StageContext, stages_that_see_references
from unsup_asr.pipeline import SUPERVISED, build_graph

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {
    "unsup_asr": {"unsup_asr"},
    "segmentation": {"segmentation", "unsup_asr"},
    "gan": {"gan", "unsup_asr"},
    "lm": {"lm", "unsup_asr"},
}


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def imported_packages(source: str) -> Iterator[str]:
    """Top-level names of all that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            assert node.module is not None
            yield node.module.partition(".")[0]


def forbidden_arrows(package: str, source: str) -> set[str]:
    return set(imported_packages(source)) & set(PACKAGES) - MAY_IMPORT[package]


def test_siblings_do_not_import_one_another_and_the_spine_imports_none_of_them() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources()
        for name in forbidden_arrows(path.relative_to(ROOT).parts[0], path.read_text("utf-8"))
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("package", "source", "found"),
    [
        ("gan", "import lm.beam", {"lm"}),
        ("unsup_asr", "def f():\n    from gan.trainer import train", {"gan"}),
        ("segmentation", "from unsup_asr.types import Segments\nimport numpy", set()),
    ],
)
def test_a_forbidden_import_is_seen_wherever_it_stands(
    package: str, source: str, found: set[str]
) -> None:
    assert forbidden_arrows(package, source) == found


# Floors of `unsup_asr`: a room may import those on lower floors, never one beside or above it.
FLOORS: tuple[set[str], ...] = (
    {"types", "ranges", "used"},
    {"protocols", "progress", "compute", "lookahead", "workers"},
    {"formats"},
    {"speech", "scoring"},
    {"upstreams", "acoustic", "corpora", "report"},
    {"engine", "doctor"},
    {"extraction"},
    {"recognise"},
    {"steps", "transcribe"},
    {"pipeline"},
    {"commands"},
    {"cli"},
    {"__main__"},
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# The engine knows nothing of speech.
ENGINE_MAY_IMPORT = {"types", "ranges", "formats", "progress", "used"}
WITHOUT_ENGINE = {
    "types",
    "ranges",
    "protocols",
    "progress",
    "compute",
    "lookahead",
    "workers",
    "formats",
    "speech",
    "scoring",
    "upstreams",
}
WITHOUT_ENGINE |= {"acoustic", "corpora", "report", "doctor"}
_MODULE = re.compile(r"^unsup_asr(\.[a-z_0-9]+)+")


def rooms_named(source: str) -> set[str]:
    """Rooms of `unsup_asr` that a file imports, or names in a string such as `unsup_asr.x.Y`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= {match[0] for match in [_MODULE.match(node.value)] if match}
    return {name.split(".")[1] for name in found if name.startswith("unsup_asr.")} & {*FLOOR_OF}


def wrong_arrows(room: str, source: str) -> set[str]:
    """Rooms that a file of `room` names and may not."""
    named = rooms_named(source) - {room}
    wrong = {other for other in named if FLOOR_OF[other] >= FLOOR_OF[room]}
    if room == "engine":
        wrong |= named - ENGINE_MAY_IMPORT
    return wrong | (named & {"engine"} if room in WITHOUT_ENGINE else set())


def test_every_room_of_the_spine_has_a_floor_and_few_modules_lie_loose() -> None:
    inside = [
        path.relative_to(ROOT / "unsup_asr") for path in sources() if "unsup_asr" in path.parts
    ]
    rooms = {path.parts[0].removesuffix(".py") for path in inside} - {"__init__"}
    assert rooms == set(FLOOR_OF)
    assert len([path for path in inside if len(path.parts) == 1]) <= 14


def test_rooms_of_the_spine_import_downwards_only() -> None:
    named_by_config = {("engine", "upstreams")}  # short names of upstreams: config.NAME_PROVIDERS
    wrong = {
        (path.relative_to(ROOT).as_posix(), other)
        for path in (ROOT / "unsup_asr").rglob("*.py")
        for room in [path.relative_to(ROOT / "unsup_asr").parts[0].removesuffix(".py")]
        if room != "__init__"
        for other in wrong_arrows(room, path.read_text("utf-8"))
        if (room, other) not in named_by_config
    }
    assert wrong == set()


@pytest.mark.parametrize(
    ("room", "source", "found"),
    [
        ("formats", "from unsup_asr.engine import artifacts", {"engine"}),
        ("upstreams", "def f():\n    import unsup_asr.corpora.folder", {"corpora"}),
        ("recognise", "from unsup_asr.steps.ctc import BLANK", {"steps"}),
        ("commands", "LOAD = 'unsup_asr.cli.main'", {"cli"}),
        ("engine", "from unsup_asr.speech.runs import run_starts", {"speech"}),
        ("steps", "from unsup_asr.recognise import phones\nimport unsup_asr.types", set()),
    ],
)
def test_an_arrow_that_goes_up_is_seen_wherever_it_stands(
    room: str, source: str, found: set[str]
) -> None:
    assert wrong_arrows(room, source) == found


def test_siblings_are_named_in_strings_by_commands_and_recipes_alone() -> None:
    """The spine reaches segmentation, gan and lm through config, or a command's `_target_`."""
    named = re.compile(r"^(segmentation|gan|lm)(\.[a-z_0-9]+)+\.[A-Za-z_]+$")
    naming = {
        path.relative_to(ROOT / "unsup_asr").parts[0]
        for path in (ROOT / "unsup_asr").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if named.match(node.value) and node.value not in STAND_INS  # keys of a recipe
    }
    assert naming <= {"commands"}


_FILE_READERS = re.compile(
    r"np\.(load|fromfile|memmap)\(|torch\.load\(|pickle\.loads?\("
    r"|safetensors\S* import [^\n]*(load_file|safe_open)"
)
# Checkpoints of others are read by torch, each with a message of its own.
_MAY_READ = {
    *("unsup_asr/formats/checked.py", "unsup_asr/formats/weights.py"),
    *("unsup_asr/upstreams/s3prl_hub.py", "unsup_asr/upstreams/torchaudio_bundle.py"),
    "unsup_asr/upstreams/inert_pickle.py",
}


def test_arrays_and_tensors_are_read_by_the_checked_readers_alone() -> None:
    """Any other reader has errors that do not name the file, until somebody damages one."""
    reading = {
        path.relative_to(ROOT).as_posix()
        for path in sources()
        if _FILE_READERS.search(path.read_text("utf-8"))
    }
    assert reading - _MAY_READ == set()


def test_the_packages_of_the_distribution_are_those_of_the_tree() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    in_tree = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in sources()
        if path.name == "__init__.py"
    }
    assert set(settings["tool"]["setuptools"]["packages"]) == in_tree
    assert {".".join(path.parent.relative_to(ROOT).parts) for path in sources()} == in_tree


def leading_to(stages: list[Stage], name: str) -> list[Stage]:
    """The stages that a stage is made from, however far back."""
    needed = {name}
    for stage in reversed(stages):
        if stage.name in needed:
            needed |= set(stage.inputs)
    return [stage for stage in stages if stage.name in needed - {name}]


def peeking(stages: list[Stage]) -> list[str]:
    """Stages, other than `evaluate` and the supervised baselines, that may read references."""
    allowed = ("references", "evaluate", "supervised", "superb", "supervised_words")
    return [stage.name for stage in stages if stage.reads_references and stage.name not in allowed]


@pytest.fixture(params=["none", "phoneme_recognition"])
def demo_stages(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[Stage]:
    """The demo's graph, with one supervised baseline and with both."""
    monkeypatch.chdir(ROOT)
    return build_graph(load_recipe("demo", [f"superb={request.param}"]))


def test_nothing_that_learns_may_read_references(demo_stages: list[Stage]) -> None:
    assert peeking(demo_stages) == []


def test_what_the_supervised_baselines_make_goes_nowhere_but_into_evaluate(
    demo_stages: list[Stage],
) -> None:
    seeing = {"references", *SUPERVISED, "supervised_words", "evaluate"}
    users = {s.name for s in demo_stages if seeing & set(s.inputs)}
    assert users <= {*SUPERVISED, "evaluate", "supervised_words"}
    names = {s.name for s in demo_stages}
    assert stages_that_see_references(demo_stages) == names & seeing
    unsupervised = [s for s in demo_stages if s.name not in seeing]
    assert "words" in {s.name for s in unsupervised}
    for stage in unsupervised:
        assert all(not s.reads_references for s in leading_to(demo_stages, stage.name))


def test_the_superb_recipe_changes_the_key_of_evaluate_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A second baseline must not run again what there is: unsupervised stages do not know of it."""
    monkeypatch.chdir(ROOT)
    keys = {}
    for choice in ("none", "phoneme_recognition"):
        config = load_recipe("demo", [f"superb={choice}"])
        found = stage_keys(build_graph(config), config, tmp_path)
        keys[choice] = {name: material["key"] for name, material in found.items()}
    without, with_superb = keys["none"], keys["phoneme_recognition"]
    assert set(with_superb) - set(without) == {"superb"}
    assert [name for name in without if without[name] != with_superb[name]] == ["evaluate"]


def test_a_stage_that_peeks_would_be_seen() -> None:
    def nothing(context: StageContext) -> None:
        del context

    stages = [
        Stage("corpus", nothing),
        Stage("matching", nothing, ("corpus",), reads_references=True),
        Stage("evaluate", nothing, ("matching",), reads_references=True),
    ]
    assert peeking(stages) == ["matching"]


@pytest.mark.parametrize("folder", sorted(p.parent for p in ROOT.glob("recipes/*/config.yaml")))
def test_every_recipe_has_a_script_and_says_what_it_is(folder: Path) -> None:
    assert (folder / "README.md").read_text("utf-8").startswith(f"# {folder.name}\n")
    script = folder / "run.sh"
    assert script.stat().st_mode & 0o111, f"{script} is not executable"
    assert f"unsup-asr run {folder.name}" in script.read_text("utf-8")


def test_every_recipe_is_shipped() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    shipped = {
        Path(place).name: of for place, of in settings["tool"]["setuptools"]["data-files"].items()
    }
    recipes = {path.parent.name for path in (ROOT / "recipes").glob("*/config.yaml")}
    assert shipped == {name: [f"recipes/{name}/*"] for name in recipes}
