"""Whatever reads what a run has written finds out when it is not that any more."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.test_toy_recipe import SMALL
from unsup_asr.cli import main

Printed = pytest.CaptureFixture[str]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace(path: Path) -> None:
    path.write_bytes(b"\x00\xff[1, 2]\n" * 7)


def remove(path: Path) -> None:
    path.unlink()


DAMAGES: list[Callable[[Path], None]] = [flip, cut, empty, replace, remove]


@pytest.fixture(scope="module")
def exp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damaged")
    assert main(["run", "toy", "--exp", str(folder), *SMALL]) == 0
    rng = np.random.default_rng(0)
    soundfile.write(folder / "new.wav", 0.1 * rng.standard_normal(16000), 16000)
    return folder


def files_of(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("stage.json", "log.txt", "begun.json")
    )


@pytest.mark.parametrize("with_record", [True, False], ids=["as made", "without stage.json"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_no_damaged_model_transcribes(
    exp: Path, tmp_path: Path, damage: Callable[[Path], None], with_record: bool, capsys: Printed
) -> None:
    """A model is passed around, with its record or without: each of its files is checked."""
    copy = tmp_path / "mine"
    shutil.copytree(exp / "toy" / "latest" / "words", copy)
    if not with_record:
        (copy / "stage.json").unlink()
    command = ["transcribe", str(copy), str(exp / "new.wav"), "--words"]
    assert main(command) == 0
    heard = capsys.readouterr().out
    for name in files_of(copy):
        before = (copy / name).read_bytes()
        damage(copy / name)
        code = main(command)
        out, err = capsys.readouterr()
        (copy / name).write_bytes(before)
        if code == 0 and name == "model.json":  # it may be edited, which is said
            assert ("trust no transcript" in err) == with_record
            continue
        if code == 0:  # not a file that transcribing reads
            assert out == heard, name
            continue
        assert code == 1
        assert Path(name).name in err, (name, err)
        assert len(err.splitlines()) <= 1 + (name == "model.json"), err
        assert "copy" in err or f"no {name}; expected" in err, err


@pytest.mark.parametrize("damage", DAMAGES)
def test_no_damaged_results_are_reported(
    exp: Path, tmp_path: Path, damage: Callable[[Path], None], capsys: Printed
) -> None:
    shutil.copytree(exp / "toy", tmp_path / "toy", symlinks=True)
    evaluated = tmp_path / "toy" / "latest" / "evaluate"
    capsys.readouterr()
    commands = [
        ["report", "toy", "--exp", str(tmp_path), "--json"],
        ["report", "toy", "--exp", str(tmp_path)],
        ["report", "toy", "--exp", str(tmp_path), "--results", str(tmp_path / "RESULTS.md")],
        ["compare", str(tmp_path / "toy")],
        ["compare", str(evaluated / "results.json")],
    ]
    for name in files_of(evaluated):
        before = (evaluated / name).read_bytes()
        damage(evaluated / name)
        for command in commands[: None if name == "results.json" else 4]:
            if name == "results.json" and damage is remove and command[0] != "report":
                continue  # not there at all, which is another message
            code = main(command)
            err = capsys.readouterr().err
            if code == 0 and damage is remove:
                assert "--results" in command  # a recipe without results has a line that says so
                continue
            assert code == 1, command
            assert name in err, err
            assert "--force evaluate" in err or "evaluate" in err, err
        (evaluated / name).write_bytes(before)
    assert all(main(command) == 0 for command in commands)


def test_what_to_do_about_damaged_results_helps(exp: Path, tmp_path: Path, capsys: Printed) -> None:
    shutil.copytree(exp / "toy", tmp_path / "toy", symlinks=True)
    results = tmp_path / "toy" / "latest" / "evaluate" / "results.json"
    edited = json.loads(results.read_text("utf-8"))
    edited["rows"]["self_training"]["substitutions"] = 0
    results.write_text(json.dumps(edited), "utf-8")
    assert main(["report", "toy", "--exp", str(tmp_path)]) == 1
    assert "run again with --force evaluate" in capsys.readouterr().err
    assert main(["run", "toy", "--exp", str(tmp_path), *SMALL, "--force", "evaluate"]) == 0
    assert main(["report", "toy", "--exp", str(tmp_path)]) == 0


@pytest.mark.parametrize(
    ("command", "stage", "name"),
    [
        (["lm", "perplexity", "{language_model}/phones.arpa", "{text}/phones.txt"], "text", ""),
        (
            ["lm", "perplexity", "{language_model}/phones.arpa", "{text}/phones.txt"],
            "language_model",
            "phones.arpa",
        ),
        (
            [
                *("evaluate", "--ref", "{references}/references/test.tsv"),
                *("--hyp", "{self_training_1}/hypotheses/test.tsv"),
            ],
            "self_training_1",
            "hypotheses/test.tsv",
        ),
    ],
)
def test_files_of_stages_are_checked_wherever_they_are_named(
    command: list[str], stage: str, name: str, exp: Path, tmp_path: Path, capsys: Printed
) -> None:
    shutil.copytree(exp / "toy", tmp_path / "toy", symlinks=True)
    latest = tmp_path / "toy" / "latest"
    folders = {path.name: str(path) for path in latest.iterdir()}
    command = [argument.format(**folders) for argument in command]
    assert main(command) == 0
    damaged = latest / stage / (name or "phones.txt")
    flip(damaged)
    capsys.readouterr()
    assert main(command) == 1
    err = capsys.readouterr().err
    assert f"{damaged.name} is damaged: its sha256" in err
    assert f"--force {stage}" in err
