"""`transcribe`: what is printed and written, what is done once, what is refused."""

from __future__ import annotations

import io
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pympi.Elan import Eaf

import unsup_asr.commands.transcribe
import unsup_asr.transcribe
from tests.unsup_asr.small_model import babble, save_small_model
from unsup_asr import cli
from unsup_asr.commands.recordings import find_recordings, not_done
from unsup_asr.formats.names import stem_id
from unsup_asr.recognise.stretches import Heard
from unsup_asr.types import Hypothesis, WordHypothesis

Printed = pytest.CaptureFixture[str]
ROOT = Path(__file__).resolve().parents[3]


class KnowsOneWord:
    """A model that hears the same in every file of half a second."""

    def hear(self, path: Path, *, channel: int | None = None) -> Iterator[Heard]:
        if path.stem == "broken":
            raise ValueError(f"{path}: cannot be read as audio")
        phones = Hypothesis(stem_id(path), ("k", "æ"), (0.1, 0.2), (0.2, 0.3), (0.9, 0.5))
        yield Heard(phones, None, 0.0, 0.5)


class SaysOneWord:
    """As KnowsOneWord, and it is a word."""

    def hear(self, path: Path, *, channel: int | None = None) -> Iterator[Heard]:
        (heard,) = KnowsOneWord().hear(path)
        words = WordHypothesis(path.stem, ("ka",), (0.1,), (0.3,), (0.7,))
        yield Heard(heard.phones, words, heard.start_s, heard.end_s)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where commands run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def add_audio(num_files: int = 2, below: str = "audio") -> None:
    Path(below).mkdir(parents=True)
    for number in range(num_files):
        soundfile.write(Path(below) / f"u{number}.wav", babble(0.5, seed=number), 16000)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Arguments that name a model and two recordings of half a second."""
    verb = unsup_asr.commands.transcribe
    monkeypatch.setattr(verb, "load_model", lambda folder, trust: KnowsOneWord())
    monkeypatch.setattr(verb, "load_word_model", lambda folder, trust: SaysOneWord())
    Path("model").mkdir()
    add_audio()
    return ["transcribe", "model", "audio/u0.wav", "audio/u1.wav"]


@pytest.fixture
def real_model() -> list[str]:
    """Arguments that name a model of random weights and a folder with two recordings."""
    save_small_model(Path("model"))
    add_audio()
    return ["transcribe", "model", "audio"]


def written(out: str) -> list[str]:
    """Names of transcripts; notes aside."""
    return sorted(p.name for p in Path(out).rglob("*") if p.is_file() and p.name[0] != ".")


def test_transcribe_prints_one_phone_a_line(model: list[str], capsys: Printed) -> None:
    assert cli.main(model) == 0
    assert capsys.readouterr().out.splitlines()[:3] == [
        "utterance_id\tphone\tstart_s\tend_s\tconfidence",
        "u0\tk\t0.1\t0.2\t0.9",
        "u0\tæ\t0.2\t0.3\t0.5",
    ]


def test_transcribe_to_json_is_one_object_a_file(model: list[str], capsys: Printed) -> None:
    assert cli.main([*model, "--format", "json"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["phones"][0] == {"phone": "k", "start_s": 0.1, "end_s": 0.2, "confidence": 0.9}
    assert second["utterance_id"] == "u1"


def test_transcribe_to_words_in_every_format(model: list[str], capsys: Printed) -> None:
    assert cli.main([*model, "--words"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == [
        "utterance_id\tword\tstart_s\tend_s\tconfidence",
        "u0\tka\t0.1\t0.3\t0.7",
    ]
    assert cli.main([*model, "--words", "--format", "txt"]) == 0
    assert capsys.readouterr().out == "u0\tka\nu1\tka\n"
    assert cli.main([*model, "--words", "--format", "ctm"]) == 0
    assert capsys.readouterr().out == "u0 1 0.100 0.200 ka 0.7000\nu1 1 0.100 0.200 ka 0.7000\n"
    assert cli.main([*model, "--words", "--format", "json"]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert first["words"] == [{"word": "ka", "start_s": 0.1, "end_s": 0.3, "confidence": 0.7}]
    assert [row["phone"] for row in first["phones"]] == ["k", "æ"]
    for form in ("txt", "textgrid", "eaf", "srt", "vtt"):
        assert cli.main([*model, "--words", "--format", form, "--out", "said"]) == 0
    assert Path("said/u0.txt").read_text("utf-8") == "ka\n"
    grid = Path("said/u0.TextGrid").read_text("utf-8")
    assert grid.index('name = "words"') < grid.index('text = "ka"') < grid.index('name = "phones"')
    cue = "00:00:00{}100 --> 00:00:00{}300\nka\n"
    assert Path("said/u0.srt").read_text("utf-8") == "1\n" + cue.format(",", ",")
    assert Path("said/u0.vtt").read_text("utf-8") == "WEBVTT\n\n" + cue.format(".", ".")
    elan = Eaf("said/u0.eaf")
    assert list(elan.get_tier_names()) == [
        *("words", "words confidence", "phones", "phones confidence")
    ]
    assert elan.get_annotation_data_for_tier("words") == [(100, 300, "ka")]
    assert elan.get_annotation_data_for_tier("phones") == [(100, 200, "k"), (200, 300, "æ")]
    (media,) = elan.get_linked_files()
    assert media["MEDIA_URL"] == Path("audio/u0.wav").resolve().as_uri()


def test_transcribe_to_plain_text_without_words_is_phones(
    model: list[str], capsys: Printed
) -> None:
    assert cli.main([*model, "--format", "txt"]) == 0
    assert capsys.readouterr().out == "u0\tk æ\nu1\tk æ\n"


def test_transcribe_writes_a_textgrid_for_each_recording(model: list[str]) -> None:
    assert cli.main([*model, "--format", "textgrid", "--out", "grids"]) == 0
    assert written("grids") == ["u0.TextGrid", "u1.TextGrid"]
    assert "xmax = 0.5\n" in Path("grids/u0.TextGrid").read_text("utf-8")


def test_transcribe_goes_on_after_a_file_that_cannot_be_read(
    model: list[str], capsys: Printed
) -> None:
    Path("audio/broken.wav").write_bytes(b"no audio")
    argv = [model[0], model[1], "audio/broken.wav", *model[2:]]
    assert cli.main([*argv, "--out", "found"]) == 1
    captured = capsys.readouterr()
    fault, speed = captured.err.splitlines()
    assert fault == "unsup-asr transcribe: audio/broken.wav: cannot be read as audio"
    assert speed.startswith("1.0 s of audio in ")
    assert speed.endswith(", on cpu")
    assert captured.out == "2 of 3 files transcribed into found\n"
    assert written("found") == ["u0.tsv", "u1.tsv"]
    assert Path("found/u0.tsv").read_text("utf-8").startswith("utterance_id\tphone\t")


def test_transcribe_refuses_what_it_cannot_name_or_find(model: list[str], capsys: Printed) -> None:
    for name in ("a b.wav", "a_b.wav"):
        Path("audio", name).touch()
    Path("none").mkdir()
    Path("none/a.txt").touch()
    for argv, message in (
        ([*model, "--format", "textgrid"], "--out"),
        ([*model, "--format", "eaf"], "--format eaf holds one recording"),
        ([*model, "audio/none.wav"], "audio/none.wav: no such file"),
        ([*model, "none"], "none: no audio in this folder (there are: 1 .txt)"),
        (["transcribe", "nowhere", "audio/u0.wav"], "nowhere: no such folder"),
        ([*model, "./audio/u0.wav", "--out", "o"], "2 files would have the transcript 'u0.tsv'"),
        ([*model, "audio"], "2 files have the id 'u0'"),
        ([*model, "audio/a b.wav", "audio/a_b.wav"], "2 files have the id 'a_b'"),
        ([*model, "--jobs", "0"], "--jobs is 0"),
        ([*model, "--sample-rate", "16000"], "--sample-rate and --partial belong to raw samples"),
    ):
        assert cli.main(argv) == 2
        assert message in capsys.readouterr().err
    assert not Path("o").exists()


@pytest.mark.parametrize("form", ["tsv", "txt", "json", "ctm", "textgrid", "srt", "eaf"])
def test_transcribe_shows_any_name_and_never_writes_it_raw(
    model: list[str], form: str, capsys: Printed
) -> None:
    names = ["a\tb", "c\nd", "e\x1b[31mf", os.fsdecode(b"g\xe9")]
    audio = [f"audio/{name}.wav" for name in names]
    for path in audio:
        shutil.copy("audio/u0.wav", path)
    assert cli.main([*model[:2], *audio, "--format", form, "--out", "said"]) == 0
    assert len([p.read_text("utf-8") for p in Path("said").iterdir() if p.name[0] != "."]) == 4
    if form not in ("textgrid", "srt", "eaf"):
        assert cli.main([*model[:2], *audio, "--format", form]) == 0
        printed = capsys.readouterr().out.rpartition("into said\n")[2]
        assert "\x1b" not in printed
        expected = {"tsv": 1 + 2 * 4, "txt": 4, "json": 4, "ctm": 2 * 4}[form]
        assert len(printed.splitlines()) == expected


# folders, resumed


def test_a_folder_is_transcribed_as_it_lies_and_only_once(
    real_model: list[str], capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_audio(1, below="audio/deep/er")
    Path("audio/notes.txt").touch()
    command = [*real_model, "--out", "said"]
    assert cli.main(command) == 0
    assert capsys.readouterr().out == "3 of 3 files transcribed into said\n"
    assert Path("said/deep/er/u0.tsv").is_file()

    heard: list[str] = []
    hear = unsup_asr.transcribe.Model.hear
    monkeypatch.setattr(
        unsup_asr.transcribe.Model,
        "hear",
        lambda self, path, **options: heard.append(path.name) or hear(self, path, **options),
    )
    Path("said/u1.tsv").unlink()
    assert cli.main(command) == 0
    assert heard == ["u1.wav"]
    assert "3 of 3 files transcribed into said, 2 of them before\n" in capsys.readouterr().out

    heard.clear()
    later = time.time() + 10
    os.utime("audio/u0.wav", (later, later))
    assert cli.main(command) == 0
    assert heard == ["u0.wav"], "a recording that is newer than its transcript is new"


@pytest.mark.parametrize("change", ["the model", "an option", "the note"])
def test_another_model_or_option_transcribes_all_again(
    change: str, real_model: list[str], capsys: Printed
) -> None:
    command = [*real_model, "--out", "said"]
    assert cli.main(command) == 0
    if change == "the model":
        Path("model/model.json").write_text(Path("model/model.json").read_text() + "\n")
    elif change == "an option":
        command += ["--precision", "float32"]
    else:
        Path("said/.transcribe.tsv.json").unlink()
    capsys.readouterr()
    assert cli.main(command) == 0
    assert capsys.readouterr().out == "2 of 2 files transcribed into said\n"
    assert cli.main(command) == 0
    assert "2 of them before" in capsys.readouterr().out


def test_another_model_that_was_killed_at_once_goes_on_with_all() -> None:
    add_audio()
    out = Path("said")
    out.mkdir()
    recordings = find_recordings(["audio"], form="txt", in_folder=True)

    def to_do(model: str) -> list[str]:
        found = not_done(recordings, out, form="txt", made_by={"model": model})
        return [one.path.name for one in found]

    assert to_do("one") == ["u0.wav", "u1.wav"]
    for one in recordings:
        (out / one.transcript).write_text("a\n")
    assert to_do("one") == []
    before = time.time() - 10
    for path in (*Path("audio").iterdir(), *out.iterdir()):
        os.utime(path, (before, before))
    assert to_do("one") == []
    assert to_do("two") == ["u0.wav", "u1.wav"]
    assert to_do("two") == ["u0.wav", "u1.wav"], "none of them is of this model"
    (out / "u0.txt").write_text("b\n")
    assert to_do("two") == ["u1.wav"]


def test_a_killed_transcription_leaves_whole_files_and_goes_on(capsys: Printed) -> None:
    save_small_model(Path("model"))
    add_audio(12)
    command = ["transcribe", "model", "audio", "--out", "said", "--jobs", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "unsup_asr", *command],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    while not (Path("said").is_dir() and written("said")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 20
    while members_of(process.pid):  # its processes end with it
        assert time.monotonic() < deadline
        time.sleep(0.1)
    finished = {p: p.stat().st_mtime_ns for p in Path("said").glob("*.tsv")}
    assert all(p.read_text("utf-8").endswith("\n") for p in finished)
    assert cli.main(command[:-2]) == 0
    assert "12 of 12 files transcribed into said" in capsys.readouterr().out
    assert written("said") == sorted(f"u{i}.tsv" for i in range(12))
    assert {p: p.stat().st_mtime_ns for p in finished} == finished


def members_of(session: int) -> list[int]:
    """Processes of a session that are still at work."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of_session = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(of_session) == session and state != "Z":
            found.append(int(path.parent.name))
    return found


def test_processes_side_by_side_print_what_one_prints(
    real_model: list[str], capsys: Printed
) -> None:
    assert cli.main(real_model) == 0
    alone = capsys.readouterr().out
    Path("audio/u9.wav").write_bytes(b"no audio")
    assert cli.main([*real_model, "--jobs", "2"]) == 1
    captured = capsys.readouterr()
    assert captured.out == alone
    assert "u9.wav: cannot be read as audio" in captured.err
    assert captured.err.splitlines()[-1].endswith(", on cpu, 2 processes")


# samples on stdin


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], None]]:
    """Puts bytes on stdin."""
    with ExitStack() as stack:

        def given(content: bytes) -> None:
            Path("samples.raw").write_bytes(content)
            stream = stack.enter_context(io.TextIOWrapper(io.FileIO("samples.raw")))
            monkeypatch.setattr(sys, "stdin", stream)

        yield given


def raw(samples: np.ndarray) -> bytes:
    return (32767 * np.clip(samples, -1, 1)).astype("<i2").tobytes()


LIVE = ["transcribe", "model", "-", "--sample-rate", "8000"]


def test_samples_on_stdin_are_transcribed_as_they_come(
    real_model: list[str], give: Callable[[bytes], None], capsys: Printed
) -> None:
    del real_model
    give(raw(babble(12)))  # 16 kHz said to be 8: 24 s
    assert cli.main([*LIVE, "--format", "json", "--partial", "2"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    final = [one for one in found if one["is_final"]]
    assert len(final) >= 3, "no stretch is longer than 10 s"
    assert len(found) - len(final) >= 6, "and every 2 s tell what is known"
    starts = [phone["start_s"] for one in final for phone in one["phones"]]
    assert starts == sorted(starts)
    assert 20 < starts[-1] < 24
    give(raw(babble(12)))
    assert cli.main(LIVE) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.startswith("utterance_id\tphone")
    assert [float(row.split("\t")[2]) for row in rows] == starts


@pytest.mark.parametrize(
    ("content", "options", "code", "message"),
    [
        (b"\0" * 16001, [], 1, "end with half a sample"),
        (b"", [], 1, "no samples on stdin"),
        (b"", ["--format", "srt"], 2, "needs the end of the recording"),
        (b"", ["--sample-rate", "1"], 2, "--sample-rate is 1; expected 2000 to 384000"),
        (b"", ["--partial", "2"], 2, "--partial needs --format json"),
        (b"", ["--partial", "0", "--format", "json"], 2, "--partial is 0.0; expected 0.1 to 10"),
        (b"", ["--out", "x"], 2, "are for files"),
        (b"", ["--jobs", "2"], 2, "are for files"),
    ],
)
def test_samples_that_are_none_are_refused(
    content: bytes,
    options: list[str],
    code: int,
    message: str,
    real_model: list[str],
    give: Callable[[bytes], None],
    capsys: Printed,
) -> None:
    del real_model
    give(content)
    assert cli.main([*LIVE, *options]) == code
    assert message in capsys.readouterr().err


def test_stdin_needs_a_rate_and_no_files_beside_it(real_model: list[str], capsys: Printed) -> None:
    assert cli.main([*real_model[:2], "-"]) == 2
    assert "--sample-rate 16000" in capsys.readouterr().err
    assert cli.main([*real_model[:2], "-", "audio/u0.wav", "--sample-rate", "16000"]) == 2
    assert "together with files" in capsys.readouterr().err


def test_ctrl_c_ends_the_samples_and_what_was_said_is_printed(real_model: list[str]) -> None:
    del real_model
    command = [sys.executable, "-m", "unsup_asr", *LIVE, "--format", "json", "--partial", "1"]
    with subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(raw(babble(1.55)))  # 3.1 s at 8 kHz
        process.stdin.flush()
        *_, partial = [json.loads(process.stdout.readline()) for _ in range(3)]
        time.sleep(0.3)  # until it waits for more
        process.send_signal(signal.SIGINT)
        assert select.select([process.stdout], [], [], 30)[0], "it does not wait for more"
        last = json.loads(process.stdout.readlines()[-1])
        process.stdin.close()
        assert process.wait(timeout=30) == 0
    assert not partial["is_final"]
    assert last["is_final"]
    assert len(last["phones"]) >= len(partial["phones"]) > 0
