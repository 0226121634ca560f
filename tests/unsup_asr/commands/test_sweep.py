"""A sweep of the toy recipe's first stages, in processes of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from unsup_asr.cli import main
from unsup_asr.commands.sweep import play
from unsup_asr.commands.sweep_jobs import Jobs, LocalJobs, Run, submitit_jobs
from unsup_asr.report.sweep import SweepRow

SMALL = [
    *("corpus.num_train_utterances=4", "corpus.num_dev_utterances=1"),
    *("corpus.num_test_utterances=1", "corpus.num_text_sentences=60"),
]
Printed = pytest.CaptureFixture[str]


def sweep(exp: Path, *options: str) -> int:
    return main(["sweep", "toy", "--exp", str(exp), *options])


def test_runs_share_stages_and_one_that_fails_stops_no_other(
    tmp_path: Path, capsys: Printed
) -> None:
    values = "text.front_end.min_phone_count=2,100000"  # no text has that many of any phone
    assert sweep(tmp_path, *SMALL, values, "--until", "text", "--jobs", "2") == 1
    said = capsys.readouterr().out
    assert "2 runs of toy" in said
    assert said.count(": done, ") == 1
    assert "min_phone_count=100000: failed: stage text: " in said
    assert len(list((tmp_path / "toy" / "corpus").glob("*/stage.json"))) == 1
    assert len(list((tmp_path / "toy" / "text").glob("*/stage.json"))) == 1
    (record,) = (tmp_path / "toy" / "sweeps").glob("*/sweep.json")
    rows = json.loads(record.read_text("utf-8"))["runs"]
    assert [row["error"] is None for row in rows] == [True, False]
    assert rows[1]["error"].endswith("1.log)")


def the_runs(folder: Path, *programs: str, num_gpus: int = 0) -> tuple[list[SweepRow], list[Run]]:
    rows = [SweepRow(number=n, options=(f"seed={n}",)) for n in range(len(programs))]
    runs = [
        Run(
            number=number,
            command=(sys.executable, "-c", program),
            log=folder / f"{number}.log",
            num_gpus=num_gpus,
        )
        for number, program in enumerate(programs)
    ]
    return rows, runs


def jobs(launcher: str, runs: list[Run], folder: Path, gpus: tuple[str, ...] = ()) -> Jobs:
    if launcher == "processes":
        return LocalJobs(num_slots=2, gpus=gpus)
    options = {"minutes": 60, "num_gpus": 0, "parameters": {}, "num_at_a_time": 2}
    return submitit_jobs(runs, cluster="local", folder=folder / "submitit", gpus=gpus, **options)


@pytest.mark.parametrize("launcher", ["processes", "submitit"])
def test_what_a_run_said_is_in_its_log_and_its_end_in_its_row(
    launcher: str, tmp_path: Path, capsys: Printed
) -> None:
    rows, runs = the_runs(
        tmp_path, "print('well')", "import sys; sys.exit('unsup-asr run: no disk')"
    )
    found = play(rows, runs, jobs(launcher, runs, tmp_path))
    assert [row.error for row in found] == [None, f"no disk ({tmp_path / '1.log'})"]
    assert (tmp_path / "0.log").read_text() == "well\n"
    assert "[run 1 of 2] seed=1: failed: no disk" in capsys.readouterr().out


# A run that waits until as many others as there are slots have begun, and says what it was given
MEETS = """
import os, pathlib, time
pathlib.Path("{folder}/began-{number}").touch()
while not pathlib.Path("{folder}/began-{other}").exists(): time.sleep(0.01)
print(os.environ.get("CUDA_VISIBLE_DEVICES"))
"""


@pytest.mark.parametrize("launcher", ["processes", "submitit"])
def test_runs_side_by_side_have_gpus_of_their_own(launcher: str, tmp_path: Path) -> None:
    programs = [MEETS.format(folder=tmp_path, number=n, other=1 - n) for n in range(2)]
    rows, runs = the_runs(tmp_path, *programs, num_gpus=2)
    play(rows, runs, jobs(launcher, runs, tmp_path, gpus=("4", "5", "6", "7")))
    assert [(tmp_path / f"{n}.log").read_text() for n in range(2)] == ["4,5\n", "6,7\n"]


def test_a_run_that_names_its_device_sees_all_gpus(tmp_path: Path) -> None:
    rows, runs = the_runs(
        tmp_path, "import os; print(os.environ.get('CUDA_VISIBLE_DEVICES', 'as it was'))"
    )
    play(rows, runs, LocalJobs(num_slots=1, gpus=("4", "5")))
    expected = os.environ.get("CUDA_VISIBLE_DEVICES", "as it was")
    assert (tmp_path / "0.log").read_text() == f"{expected}\n"


# A run that starts a process which nobody ends, and says what both are called
PARENT = """
import os, subprocess, time
left = subprocess.Popen(["sleep", "600"])
print(os.getpid(), left.pid, flush=True)
time.sleep(600)
"""
# As the command line does, whatever asks it to end raises
SWEEP = """
import signal, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.unsup_asr.commands.test_sweep import PARENT, jobs, play, the_runs
def end(number, frame):
    raise KeyboardInterrupt
if __name__ == "__main__":
    signal.signal(signal.SIGTERM, end)
    folder = Path({folder!r})
    rows, runs = the_runs(folder, PARENT, PARENT)
    play(rows, runs, jobs({launcher!r}, runs, folder))
"""


@pytest.mark.parametrize("launcher", ["processes", "submitit"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_sweep_that_is_ended_ends_all_that_its_runs_have_started(
    launcher: str, number: signal.Signals, tmp_path: Path
) -> None:
    root = str(Path(__file__).parents[3])
    script = SWEEP.format(root=root, folder=str(tmp_path), launcher=launcher)
    began = [tmp_path / f"{n}.log" for n in range(2)]
    process = subprocess.Popen(
        [sys.executable, "-c", script], start_new_session=True, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: all(log.exists() and log.read_text().endswith("\n") for log in began))
        started = [int(pid) for log in began for pid in log.read_text().split()]
        if number is signal.SIGINT:
            os.killpg(process.pid, number)  # as the terminal does: to all that it knows of
        else:
            process.send_signal(number)
        assert process.wait() != 0
        until(lambda: not any(map(is_alive, started)))
    finally:
        process.kill()


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until(happens: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not happens():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


def test_what_a_killed_run_has_started_is_ended(tmp_path: Path) -> None:
    kill_itself = PARENT.replace("time.sleep(600)", "os.kill(os.getpid(), 9)")
    rows, runs = the_runs(tmp_path, kill_itself)
    (row,) = play(rows, runs, LocalJobs(num_slots=1, gpus=()))
    assert row.error is not None
    started = [int(pid) for pid in runs[0].log.read_text().split()]
    until(lambda: not any(map(is_alive, started)))


def test_a_sweep_that_was_killed_goes_on(tmp_path: Path, capsys: Printed) -> None:
    """The sweep and the run that it was at are killed; what had ended is not repeated."""
    options = ["--exp", str(tmp_path), *SMALL, "seed=0,1", "--until", "corpus"]
    command = [sys.executable, "-m", "unsup_asr", "sweep", "toy", *options]
    corpora = tmp_path / "toy" / "corpus"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        until(lambda: len(list(corpora.glob("*.partial/begun.json"))) == 1 and done(corpora) == 1)
        runs = psutil.Process(process.pid).children()
        process.kill()
    for each in runs:
        each.kill()
    psutil.wait_procs(runs, timeout=60)
    (first,) = (path for path in corpora.glob("*/stage.json"))
    before = first.stat().st_mtime_ns
    assert main(["sweep", "toy", *options]) == 0
    assert capsys.readouterr().out.count(": done, ") == 2
    assert (done(corpora), first.stat().st_mtime_ns) == (2, before)
    assert not list(corpora.glob("*.partial"))
    (record,) = (tmp_path / "toy" / "sweeps").glob("*/sweep.json")
    rows = json.loads(record.read_text("utf-8"))["runs"]
    assert [row["error"] for row in rows] == [None, None]
    assert "[1/1] corpus: done before" in (record.parent / "0.log").read_text("utf-8")


def done(stage: Path) -> int:
    return len([path for path in stage.glob("*/stage.json") if path.parent.suffix != ".partial"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["seed=0,1", "realign.num_round=2"], "run 0 .*realign.num_round is unknown"),
        (["seed=0,-1"], r"run 1 \(seed=-1\): .*expected 0 or more"),
        (["seed=0"], "a sweep of one run"),
        (["seed=0,0"], "a sweep of one run"),
        (["seed=0,1,2", "--max-runs", "2"], "3 runs; expected at most 2"),
        (["recipe=a,b"], "the runs go to several folders"),
        (["--points", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
    ],
)
def test_what_cannot_be_swept_is_said_before_anything_runs(
    options: list[str], message: str, tmp_path: Path, capsys: Printed
) -> None:
    assert sweep(tmp_path, *options) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not list(tmp_path.rglob("stage.json"))
