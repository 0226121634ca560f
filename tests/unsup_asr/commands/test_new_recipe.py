"""Names of recipes and paths of data: any path survives, and no name leads elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from unsup_asr import cli
from unsup_asr.commands import recipes
from unsup_asr.engine.recipe import load_recipe

FOLDERS = [
    *(
        "José",
        "e\u0301te",
        "日本語",
        "😀",
        "a (1)",
        "a, b",
        "it's",
        "~",
        "#a",
        "a #b",
        '"a"',
        "{a: 1}",
    ),
    *(
        "[2020]",
        "a: b",
        "a\tb",
        "a\nb",
        "\x85\u2028\u200b\x7f\ufeff",
        "a\\b",
        "true",
        "!x",
        "&x *x",
        "%s {0}",
    ),
    os.fsdecode(b"caf\xe9"),
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `recipes`, a text and nothing else, where commands run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").mkdir()
    (tmp_path / "text.txt").write_text("a text\n")
    return tmp_path


def new_recipe(name: str, audio: str) -> int:
    Path(audio).mkdir(exist_ok=True)
    data = ["--audio", audio, "--text", "text.txt", "--language", "en-us"]
    return cli.main(["new-recipe", name, *data])


@pytest.mark.parametrize("audio", FOLDERS, ids=ascii)
def test_the_path_of_the_audio_is_that_of_the_recipe(audio: str, folder: Path) -> None:
    assert new_recipe("own", audio) == 0
    assert load_recipe("own").corpus.audio == str(folder / audio)
    assert (folder / "recipes" / "own" / "README.md").read_text("utf-8").count("\n") == 8


@pytest.mark.parametrize(
    "name",
    ["null", "true", "1e5", "7", "../own", "a/b", "own.b", "own b", "", ".own", "é", "x" * 101],
)
def test_a_name_that_is_none_is_refused_and_nothing_written(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert new_recipe(name, "audio") == 2
    assert "NAME is " in capsys.readouterr().err
    assert list((folder / "recipes").iterdir()) == []
    assert {path.name for path in folder.iterdir()} == {"recipes", "text.txt", "audio"}


def test_a_recipe_that_could_not_be_finished_is_not_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(results: object) -> str:
        raise OSError("disk full")

    monkeypatch.setattr(recipes, "results_markdown", full)
    assert new_recipe("own", "audio") == 1
    assert list((folder / "recipes").iterdir()) == []


def test_a_report_is_written_inside_exp_or_nowhere(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "elsewhere" / "latest").mkdir(parents=True)
    (folder / "recipes" / "bad").mkdir()
    (folder / "recipes" / "bad" / "config.yaml").write_text("recipe: ../elsewhere\n")
    for name in ("../elsewhere", str(folder / "elsewhere"), "bad"):
        assert cli.main(["report", name, "--exp", "exp"]) == 2
        capsys.readouterr()
    assert [path.name for path in (folder / "elsewhere").iterdir()] == ["latest"]
