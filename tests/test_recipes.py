"""Every recipe's folder is whole: a config that loads, a short script, a README, its results."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unsup_asr.fake_corpora import write_common_voice, write_librispeech, write_mls
from unsup_asr.cli import main
from unsup_asr.engine.recipe import load_recipe
from unsup_asr.pipeline import build_graph

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = sorted(path.parent for path in ROOT.glob("recipes/*/config.yaml"))
OF_CORPORA = {"timit", "librispeech_100", "mls", "common_voice", "folder"}
NEEDED = {"folder": ["corpus.audio=a", "corpus.text=t"], "synthetic": ["language=fi"]}
MAX_SCRIPT_LINES = 30


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def folder(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_the_recipes_of_corpora_are_there() -> None:
    assert {folder.name for folder in FOLDERS} >= OF_CORPORA


def test_the_config_loads_and_builds_a_graph(folder: Path) -> None:
    config = load_recipe(str(folder), NEEDED.get(folder.name, []))
    assert config.recipe.removesuffix("_fi") == folder.name
    assert build_graph(config)[0].name == "corpus"


def test_the_script_is_short_and_parses(folder: Path) -> None:
    script = folder / "run.sh"
    assert len(script.read_text("utf-8").splitlines()) <= MAX_SCRIPT_LINES
    checked = subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "set -euo pipefail" in script.read_text("utf-8")
    assert "--results" in script.read_text("utf-8")


def test_results_are_what_report_writes(folder: Path) -> None:
    """A recipe that nobody ran says so; one that was run names command, commit, seed and date."""
    text = (folder / "RESULTS.md").read_text("utf-8")
    title, _, written, _, header, rule, *rows = text.splitlines()
    assert title == "# Results"
    assert written.startswith("Written by `unsup-asr report ")
    columns = [cell.strip() for cell in header.strip("|").split("|")]
    assert rule == "|" + "---|" * len(columns)
    for row in (row for row in rows if row.startswith("|")):
        cells = dict(zip(columns, (c.strip() for c in row.strip("|").split("|")), strict=True))
        if cells["PER, unsupervised"] == "not run":
            continue
        assert all(cells[name] for name in ("PER, unsupervised", "seed", "date", "commit"))
        assert f"- {cells['run']}: `unsup-asr run " in text


@pytest.mark.parametrize("name", sorted(OF_CORPORA - {"folder"}))
def test_the_readme_says_what_the_data_is_and_what_a_run_costs(name: str) -> None:
    text = (ROOT / "recipes" / name / "README.md").read_text("utf-8")
    for heading in ("**Data.**", "**Licence:**", "**Where to put it.**", "**Cost, expected"):
        assert heading in text
    (cost,) = (line for line in text.splitlines() if line.startswith("**Cost"))
    for amount in (r"\d h of (all )?\w*", r"\d (hours|minutes)\b", r"\d GB\b", "memory", "disk"):
        assert re.search(amount, cost), (amount, cost)


@pytest.mark.parametrize("name", sorted(OF_CORPORA - {"folder"}))
def test_data_that_is_not_there_is_named_before_a_run(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "nowhere"
    assert main(["validate", str(ROOT / "recipes" / name), f"corpus.root={missing}"]) == 1
    out = capsys.readouterr().out
    assert f"BAD  data: {missing}" in out
    assert main(["run", str(ROOT / "recipes" / name), "--exp", str(tmp_path / "exp"),
                 f"corpus.root={missing}", "--until", "corpus"]) == 1  # fmt: skip
    assert str(missing) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "write", "line"),
    [
        ("librispeech_100", write_librispeech, "the cat sat on the mat by the other dog"),
        ("mls", write_mls, "der hund und die katze schlafen am ofen"),
        ("common_voice", write_common_voice, "der hund und die katze schlafen am ofen"),
    ],
)
def test_data_that_is_there_validates_and_runs_until_the_language_model(
    name: str,
    write: Callable[[Path], None],
    line: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(tmp_path / "data")
    (tmp_path / "text.txt").write_text(f"{line}\n" * 40, "utf-8")
    recipe = str(ROOT / "recipes" / name)
    options = [f"corpus.root={tmp_path / 'data'}", f"corpus.text={tmp_path / 'text.txt'}"]
    assert main(["validate", recipe, *options]) == 0
    assert "BAD" not in capsys.readouterr().out
    exp = str(tmp_path / "exp")
    assert main(["run", recipe, "--exp", exp, "--until", "language_model", *options]) == 0
    words = (tmp_path / "exp" / name / "latest" / "text" / "words.txt").read_text("utf-8")
    assert words.splitlines() == [line] * 40
    (tmp_path / "text.txt").write_text(f"{line}\n" * 41, "utf-8")  # other text, another corpus
    capsys.readouterr()
    assert main(["status", recipe, "--exp", exp, *options]) == 0
    assert "stale" in capsys.readouterr().out.splitlines()[0]


def test_a_dictionary_decides_the_phones_and_a_changed_one_runs_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_librispeech(tmp_path / "data")
    (tmp_path / "text.txt").write_text("THE CAT SAT\nTHE DOG SAT\n" * 40, "utf-8")
    (tmp_path / "cmu.txt").write_text("THE  DH AH0\nCAT  K AE1 T\nSAT  S AE1 T\n", "utf-8")
    recipe, exp = str(ROOT / "recipes" / "librispeech_100"), str(tmp_path / "exp")
    options = [f"corpus.root={tmp_path / 'data'}", f"corpus.text={tmp_path / 'text.txt'}"]
    options += ["text=lexicon", f"text.front_end.dictionary={tmp_path / 'cmu.txt'}"]
    assert main(["validate", recipe, *options]) == 1  # its references are of other words
    said = capsys.readouterr().out
    assert "40 dropped (40 unknown word); 1 words cannot be said, such as dog" in said
    assert "words of the references cannot be said" in said
    assert main(["run", recipe, "--exp", exp, "--until", "language_model", *options]) == 0
    phones = (tmp_path / "exp/librispeech_100/latest/text/phones.txt").read_text("utf-8")
    assert phones.splitlines() == ["DH AH | K AE T | S AE T"] * 40
    capsys.readouterr()
    assert main(["status", recipe, "--exp", exp, *options]) == 0
    assert "stale" not in "".join(capsys.readouterr().out.splitlines()[:3])
    (tmp_path / "cmu.txt").write_text("THE DH AH\nCAT K AE T\nSAT S AH T\n", "utf-8")
    assert main(["status", recipe, "--exp", exp, *options]) == 0
    corpus, text, *_ = capsys.readouterr().out.splitlines()
    assert "stale" not in corpus
    assert "stale" in text
