"""Fine-tuned and imported models on every road of `transcribe`, and on the page of `serve`."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import unsup_asr.transcribe
from tests.unsup_asr.other_models import KINDS, PHONES
from tests.unsup_asr.small_model import babble
from unsup_asr import cli
from unsup_asr.commands.serve import _answer
from unsup_asr.formats.textgrid import textgrid
from unsup_asr.formats.transcripts import SUFFIXES, records
from unsup_asr.recognise.stretches import joined
from unsup_asr.transcribe import Model, WordModel, load_model, load_word_model

Printed = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {kind: save(folder / kind) for kind, save in KINDS.items()}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def model(kind: str, models: dict[str, Path]) -> Path:
    return models[kind]


@pytest.fixture
def options(kind: str) -> list[str]:
    return ["--words"] if kind == "letters" else []


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where commands run, with a folder of recordings."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "audio" / "deep").mkdir(parents=True)
    for number, name in enumerate(("one.wav", "deep/two.flac")):
        soundfile.write(Path("audio") / name, babble(1.5, seed=number), 16000)
    return tmp_path


def loaded(kind: str, model: Path) -> Model | WordModel:
    return load_word_model(model) if kind == "letters" else load_model(model)


def test_a_folder_is_transcribed_in_every_format_and_only_once(
    model: Path, options: list[str], capsys: Printed
) -> None:
    for form, suffix in SUFFIXES.items():
        command = ["transcribe", str(model), "audio", "--format", form, "--out", form, *options]
        assert cli.main(command) == 0
        assert len(Path(form, f"deep/two{suffix}").read_text("utf-8")) > 10
    capsys.readouterr()
    assert cli.main(command) == 0
    assert "2 of 2 files transcribed into eaf, 2 of them before" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["finetuned"])
def test_processes_side_by_side_print_what_one_prints(model: Path, capsys: Printed) -> None:
    command = ["transcribe", str(model), "audio"]
    assert cli.main(command) == 0
    alone = capsys.readouterr().out
    assert alone.count("\n") > 5
    assert cli.main([*command, "--jobs", "2"]) == 0
    assert capsys.readouterr().out == alone


def test_a_long_recording_is_heard_in_pieces(
    kind: str, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write("long.wav", babble(9), 16000)
    monkeypatch.setattr(unsup_asr.transcribe, "LONGEST_S", 3.0)
    stretches = list(loaded(kind, model).hear(Path("long.wav")))
    assert len(stretches) >= 3
    assert all(stretch.phones.phones for stretch in stretches)
    found = joined(stretches)
    assert (found.start_s, found.end_s) == (0.0, 9.0)
    textgrid(found.phones, duration_s=9.0, words=found.words)  # which refuses spans that overlap
    assert found.phones.starts_s[-1] > 6


def test_samples_on_stdin_have_partial_results(
    model: Path, options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    Path("samples.raw").write_bytes((32767 * np.clip(babble(12), -1, 1)).astype("<i2").tobytes())
    command = ["transcribe", str(model), "-", "--sample-rate", "16000", "--format", "json"]
    with io.TextIOWrapper(io.FileIO("samples.raw")) as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        assert cli.main([*command, "--partial", "2", *options]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    final = [one for one in found if one["is_final"]]
    assert 2 <= len(final) < len(found)
    name = "words" if options else "phones"
    starts = [row["start_s"] for one in final for row in one[name]]
    assert starts == sorted(starts)
    assert 8 < starts[-1] < 12


def test_the_page_is_answered_with_what_it_hears(kind: str, model: Path) -> None:
    audio = Path("audio/one.wav")
    answer = _answer(loaded(kind, model), audio.read_bytes(), "one.wav")
    heard = joined(loaded(kind, model).hear(audio))
    assert answer["phones"] == records("phone", heard.phones.phones, heard.phones)
    assert 1.0 < heard.phones.ends_s[-1] <= 1.5
    if heard.words is not None:
        assert answer["words"] == records("word", heard.words.words, heard.words)


def harmed(models: dict[str, Path], kind: str, harm: str) -> Path:
    """A copy of a model with something wrong."""
    shutil.copytree(models[kind], "harmed")
    folder = Path("harmed")
    if harm == "a phone twice":
        phones = [*PHONES[:3], PHONES[0]]
        (folder / "inventory.json").write_text(json.dumps({"phones": phones}), "utf-8")
    elif harm == "no weights":
        (folder / "published.safetensors").unlink()
    elif harm == "a folder of transformers":
        folder = folder / "finetuned"
    return folder


HARMS = [
    ("finetuned", "a phone twice", "harmed/inventory.json: phone 'a' more than once"),
    ("imported", "no weights", "harmed: no published.safetensors; expected a folder with publ"),
    ("finetuned", "a folder of transformers", "It is a model of transformers, whose pipeline"),
]


@pytest.mark.parametrize(("kind", "harm", "message"), HARMS)
def test_what_is_wrong_with_a_model_is_said_before_anything_is_printed(
    kind: str, harm: str, message: str, models: dict[str, Path], capsys: Printed
) -> None:
    assert cli.main(["transcribe", str(harmed(models, kind, harm)), "audio"]) == 1
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    ("kind", "form", "message"),
    [
        ("imported", "transformers", "an imported generator, for which there is no format"),
        ("imported", "onnx", "an imported generator, for which there is no format"),
        ("letters", "transformers", "words: no spellings.tsv, which a model of letters has"),
    ],
)
def test_what_has_no_format_is_refused_and_leaves_nothing(
    kind: str, form: str, message: str, models: dict[str, Path], capsys: Printed
) -> None:
    command = ["export", str(models[kind]), "--format", form, "--out", "out"]
    assert cli.main(command) == 1
    assert message in capsys.readouterr().err
    assert not list(Path().glob("out*"))
