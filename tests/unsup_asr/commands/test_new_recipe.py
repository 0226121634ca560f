"""Names of recipes and paths of data: any path survives, and no name leads elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

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


def test_a_recipe_can_be_written_and_shipped_ones_named_where_there_is_no_folder_of_recipes(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "recipes").rmdir()
    assert load_recipe("toy").recipe == "toy"
    assert new_recipe("own", "audio") == 0
    capsys.readouterr()
    assert cli.main(["list"]) == 0
    named = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert {"own", "toy", "demo"} <= set(named)


def of_a_language(code: str, *options: str) -> int:
    Path("audio").mkdir(exist_ok=True)
    data = ["--audio", "audio", "--text", "text.txt", "--language", code]
    return cli.main(["new-recipe", "own", *data, *options])


def test_a_language_that_espeak_does_not_speak_gets_letters_as_phones_and_no_voices(
    folder: Path,
) -> None:
    (folder / "rules.tsv").write_text("sh\tʃ\n", "utf-8")
    assert of_a_language("hau", "--phonemizer", "graphemes", "--rules", "rules.tsv") == 0
    config = load_recipe("own")
    assert config.text.front_end.rules == str(folder / "rules.tsv")
    assert (config.language, config.start.road) == ("hau", "matching")


@pytest.mark.parametrize(
    ("phonemizer", "road"), [("graphemes", "spoken_text"), ("phones", "matching")]
)
def test_voices_read_a_text_of_words_in_their_language_and_none_of_phones(
    phonemizer: str, road: str
) -> None:
    assert of_a_language("sw", "--phonemizer", phonemizer) == 0
    assert load_recipe("own").start.road == road


@pytest.mark.parametrize(
    ("code", "options", "message"),
    [
        ("hau", [], "espeak-ng has no language 'hau'; "),
        ("hau", [], "--phonemizer graphemes"),
        ("swa", [], "near codes: sw (Swahili). "),
        ("indo", [], "near codes: id (Indonesian), io (Ido). "),
        ("hau", ["--rules", "text.txt"], "no language 'hau'"),
        (
            "sw",
            ["--rules", "text.txt"],
            "--rules is for --phonemizer graphemes, and this is espeak",
        ),
        ("hau", ["--phonemizer", "epitran"], "--phonemizer epitran needs --code"),
        ("hau", ["--phonemizer", "lexicon"], "--phonemizer lexicon needs --dictionary"),
        ("hau", ["--phonemizer", "graphemes", "--rules", "none"], "--rules none: no such file"),
    ],
)
def test_what_a_phonemizer_lacks_is_said(
    code: str, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert of_a_language(code, *options) == 2
    said = capsys.readouterr().err
    assert message in said
    assert len(said) < 600  # no list of all languages


def test_a_text_is_not_read_by_voices_of_another_language_without_a_word(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audio = folder / "audio"
    for speaker in "abc":
        (audio / speaker).mkdir(parents=True)
        noise = np.random.default_rng(0).uniform(-0.1, 0.1, 16000)
        soundfile.write(audio / speaker / f"{speaker}1.wav", noise, 16000)
    (folder / "text.txt").write_text("shi ga\nna shiga\n" * 30, "utf-8")
    assert of_a_language("hau", "--phonemizer", "graphemes") == 0
    assert cli.main(["validate", "own"]) == 0
    assert "60 lines phonemized, 6 phones" in capsys.readouterr().out
    assert cli.main(["validate", "own", "start=spoken_text"]) == 1
    assert "nobody can speak the text: espeak-ng has no language 'hau'" in capsys.readouterr().out
    borrowed = ["start=spoken_text", "start.spoken_text.language=sw"]
    assert cli.main(["validate", "own", *borrowed]) == 0
    assert "espeak-ng's of sw (Swahili) read the text, 60 of 60" in capsys.readouterr().out
    assert cli.main(["validate", "own", *borrowed, "text=phones"]) == 1
    assert "BAD  voices: start=spoken_text" in capsys.readouterr().out
