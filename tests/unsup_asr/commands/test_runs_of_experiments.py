"""`list --runs`, `clean`, `status --follow`, `run --log-format json`, `runtime.tensorboard`."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from unsup_asr.acoustic.training import NetworkTraining
from unsup_asr.cli import main
from unsup_asr.engine.live import Live
from unsup_asr.engine.stages import Stage, StageContext, run_stages
from unsup_asr.progress import noting
from unsup_asr.report.scalars import LiveScalars, write_tensorboard
from unsup_asr.report.signs import Finding, write_findings
from unsup_asr.types import RunRecord

ROOT = Path(__file__).parents[3]


def diagnosis(context: StageContext) -> None:
    write_findings(context.out / "diagnosis.json", [Finding("length", "short")])


def ran(root: Path, options: str, *, seed: int) -> None:
    config = OmegaConf.create({"seed": seed, "runtime": {"num_threads": 1}})
    record = RunRecord(f"unsup-asr run {root.name} {options}", "abc", "2026-01-02")
    run_stages([Stage("diagnosis", diagnosis)], config, root, record=record)


def test_runs_are_listed_with_what_differs_and_the_latest_marked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran(tmp_path / "one", "a=1 seed=0", seed=0)
    ran(tmp_path / "one", "a=1 seed=1", seed=1)
    ran(tmp_path / "two", "a=1", seed=0)
    assert main(["list", "--runs", "--exp", str(tmp_path)]) == 0
    _, _, latest, earlier, other = capsys.readouterr().out.splitlines()
    assert latest.split()[:2] == ["one", "*"]
    assert latest.split()[3:] == ["2026-01-02", "seed=1", "1"]
    assert earlier.split()[2:] == ["2026-01-02", "seed=0", "1"]
    assert other.split()[4:] == ["a=1", "1"]


def test_a_folder_without_runs_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--runs", "--exp", str(tmp_path)]) == 1
    assert "no run has ended there" in capsys.readouterr().err


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An experiment of the recipe toy, run as far as its text."""
    shutil.copytree(ROOT / "recipes" / "toy", tmp_path / "recipes" / "toy")
    monkeypatch.chdir(tmp_path)
    sizes = {"train_utterances": 4, "dev_utterances": 2, "test_utterances": 2, "text_sentences": 60}
    small = [f"corpus.num_{name}={size}" for name, size in sizes.items()]
    small.append("text.front_end.rare=keep")
    for options in ([], ["text.front_end.min_phone_count=1"]):
        assert main(["run", "toy", "--until", "text", *small, *options]) == 0
    (tmp_path / "small").write_text(" ".join(small))
    return tmp_path / "exp" / "toy"


def test_what_neither_the_recipe_nor_the_latest_run_needs_is_removed_on_request(
    toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = Path("small").read_text().split()
    options = ["clean", "toy", *small, "text.front_end.min_phone_count=1"]
    (toy / "text" / "0123456789ab.partial").mkdir()
    capsys.readouterr()
    assert main(options) == 0
    said = capsys.readouterr().out
    assert "in 2 stale folders of exp/toy; --remove removes them" in said
    assert len(list((toy / "text").glob("[!.]*"))) == 3
    assert main([*options, "--keep-runs"]) == 0
    assert "in 1 stale folders" in capsys.readouterr().out
    assert main([*options, "--remove"]) == 0
    (text,) = (toy / "text").glob("[!.]*")
    assert text.name == (toy / "latest" / "text").resolve().name
    assert [run.name for run in (toy / "runs").glob("[!.]*")] == [(toy / "latest").resolve().name]
    assert (toy / "latest" / "corpus" / "text.txt").is_file()


def test_a_run_that_has_ended_is_followed_to_its_end(
    toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["status", "toy", "--follow"]) == 0
    assert capsys.readouterr().out == "done\n"
    with pytest.raises(ValueError, match="no speech"), Live(toy, command="", announce=print):
        raise ValueError("no speech")
    assert main(["status", "toy", "--follow"]) == 1
    assert capsys.readouterr().out == "failed: no speech\n"
    shutil.rmtree(toy / ".live")
    assert main(["status", "toy", "--follow"]) == 2
    assert "no run has begun there" in capsys.readouterr().err


def test_a_log_in_json_is_one_object_a_line(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = Path("small").read_text().split()
    capsys.readouterr()
    assert main(["run", "toy", "--until", "text", "--log-format", "json", *small]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["message"] for line in lines] == [
        "[1/2] corpus: done before",
        "[2/2] text: done before",
    ]
    assert main(["run", "toy", "--log-format", "json", "--until", "none", *small]) == 2


def test_a_warning_is_shown_once_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def warns(_: object) -> int:
        for _time in range(4):
            logging.getLogger("lm.word_model").warning("left out %d", 3)
        return 0

    monkeypatch.setattr("unsup_asr.commands.doctor.doctor", warns)
    assert main(["doctor"]) == 0
    assert capsys.readouterr().err.splitlines() == ["WARNING lm.word_model: left out 3"]


def test_what_a_training_finds_can_be_seen_before_its_stage_ends(tmp_path: Path) -> None:
    stage, out = tmp_path / "self_training_1" / "key", tmp_path / "tensorboard"
    features = {"u": np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)}
    phones = {"u": np.array([0, 1], np.int32)}
    seen: list[list[int]] = []

    def look() -> None:
        scalars._writer.flush()
        events = EventAccumulator(str(out / "self_training_1" / "key")).Reload()
        seen.append([event.step for event in events.Scalars("loss")])

    scalars = LiveScalars(stage, out)
    training = NetworkTraining(hidden=4, epochs=2)
    with noting(scalars.write):
        _, curve = training.train_ctc(features, phones, num_phones=2, progress=look)
    scalars.close()
    assert seen == [[1], [1, 2]]
    events = EventAccumulator(str(out / "self_training_1" / "key")).Reload()
    assert [event.value for event in events.Scalars("loss")] == pytest.approx(curve)
    assert not LiveScalars(tmp_path / "text" / "key", out).has_any
    training.train_ctc(features, phones, num_phones=2)  # nobody listens any more
    assert [event.step for event in events.Reload().Scalars("loss")] == [1, 2]


def test_curves_of_stages_that_learn_can_be_read_by_tensorboard(tmp_path: Path) -> None:
    realign, gan, text = (tmp_path / name / "key" for name in ("realign_1", "gan", "text"))
    for folder in (realign, gan, text):
        folder.mkdir(parents=True)
    (realign / "curve.json").write_text("[3.0, 2.0]")
    history = [{"loss": 1.0, "extra": 2.0}, {"loss": 0.5}]
    game = {"validate_every": 50, "members": [{"history": history}]}
    (gan / "gan.json").write_text(json.dumps(game))
    out = tmp_path / "tensorboard"
    assert [write_tensorboard(folder, out) for folder in (realign, gan, text)] == [1, 1, 0]
    events = EventAccumulator(str(out / "gan" / "key")).Reload()
    scalars = events.Scalars("loss/member 0")
    assert [(s.step, s.value) for s in scalars] == [(50, 1.0), (100, 0.5)]
    assert sorted(path.name for path in out.iterdir()) == ["gan", "realign_1"]
