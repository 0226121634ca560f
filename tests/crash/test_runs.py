"""The toy recipe killed, interrupted, out of disk, damaged and run twice at once.

In the suite each once; with `--long` in every stage.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.crash.runs import made, run
from tests.test_toy_recipe import SMALL as TOY
from unsup_asr.cli import main

SMALL = [*TOY, "realign.num_rounds=1", "self_training.num_rounds=1", "words=none"]
KILL, TERM, INT = signal.SIGKILL, signal.SIGTERM, signal.SIGINT
SAID = {TERM: "ended by SIGTERM; the same command goes on", INT: "interrupted; the same command"}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    exp = tmp_path_factory.mktemp("alone")
    ended = run("toy", exp, SMALL)
    assert (ended.code, ended.errors) == (0, [])
    return exp


def test_a_run_that_ends_badly_again_and_again_ends_as_one_left_alone(
    alone: Path, tmp_path: Path, is_long: bool
) -> None:
    full = run("toy", tmp_path, SMALL, max_file_bytes=100_000)
    assert full.code == 1
    assert len(full.errors) == 1, full.errors
    assert "unsup-asr run: stage " in full.errors[0]
    assert "File too large" in full.errors[0]
    num_stages = len(made(alone / "toy"))
    ends = [(KILL, 12)]  # signals: commands/test_cli.py
    if is_long:
        ends = [(s, n) for n in range(num_stages - 1) for s in (KILL, TERM, INT)]
    for number, after in ends:
        ended = run("toy", tmp_path, SMALL, signal_after=(number, after))
        assert ended.num_stages == after + 1
        assert ended.code == (-KILL if number is KILL else 128 + number)
        assert len(ended.errors) == int(number is not KILL), ended.errors
        assert number is KILL or SAID[number] in ended.errors[0]
    assert not (tmp_path / "toy" / "latest" / "evaluate").exists()
    assert run("toy", tmp_path, SMALL).code == 0
    assert made(tmp_path / "toy") == made(alone / "toy")


def test_a_damaged_file_of_a_stage_is_named_by_the_next_run(
    alone: Path, tmp_path: Path, is_long: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(alone / "toy", tmp_path / "toy", symlinks=True)
    stages = sorted(path for path in (tmp_path / "toy" / "latest").iterdir() if path.is_dir())
    for stage in stages if is_long else stages[:: len(stages) // 3]:
        files = [path for path in sorted(stage.rglob("*")) if path.is_file()]
        for path in files if is_long else files[:1]:
            if path.name in ("log.txt", "begun.json"):
                continue
            whole = path.read_bytes()
            path.write_bytes(whole[: len(whole) // 2])
            assert main(["run", "toy", "--exp", str(tmp_path), *SMALL]) == 1, path
            err = capsys.readouterr().err
            assert path.name in err
            assert f"--force {stage.name}" in err or "delete" in err
            path.write_bytes(whole)
    assert main(["run", "toy", "--exp", str(tmp_path), *SMALL]) == 0


def seed_of(record: Path) -> int:
    return json.loads(record.read_text("utf-8"))["seed"]


def test_two_runs_at_once_into_one_folder_leave_one_whole_run(
    tmp_path: Path, is_long: bool
) -> None:
    options = [*SMALL, "--until", "evaluate" if is_long else "text"]
    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(lambda s: run("toy", tmp_path, [*options, f"seed={s}"]), (0, 1)))
        same = list(
            pool.map(lambda _: run("toy", tmp_path, [*options, "seed=2"]), range(is_long * 2))
        )
    assert [ended.code for ended in ends] == [0, 0]  # of different seeds: no stage in common
    assert (
        len({seed_of(record) for record in (tmp_path / "toy" / "latest").glob("*/stage.json")}) == 1
    )
    if not is_long:
        return
    assert 0 in [ended.code for ended in same]
    for ended in same:
        assert ended.code == 0 or "is being run by another process" in ended.errors[0]
    for seed in (0, 1, 2):
        assert run("toy", tmp_path, [*options, f"seed={seed}"]).code == 0
        command = ["status", "toy", "--exp", str(tmp_path), *SMALL, f"seed={seed}"]
        assert main(command) == 0


def test_a_disk_that_is_full_is_said_and_the_run_goes_on(
    alone: Path, tmp_path: Path, is_long: bool
) -> None:
    """A file system of a few megabytes, in a namespace of its own."""
    if not is_long:
        pytest.skip("a small file system: with --long")
    mount = f"mount -t tmpfs -o size=$1 tmpfs {tmp_path}"
    inside = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"]
    if subprocess.run([*inside, mount, "sh", "1m"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody mount a file system of their own")
    command = [sys.executable, "-m", "unsup_asr.cli", "run", "toy", "--exp", str(tmp_path / "e")]
    grow = f"mount -o remount,size=500m {tmp_path}"
    for size in ("100k", "400k", "1m", "2m", "3m"):
        script = f'{mount}; shift; "$@" 2>{tmp_path}/err || code=$?; {grow}; cat {tmp_path}/err >&2'
        script += f'; test "$code" = 1; "$@" >&2; cp -r {tmp_path}/e/. {alone}/{size}'
        done = subprocess.run(
            [*inside, script, "sh", size, *command, *SMALL], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert "free space" in done.stderr
        assert "Traceback" not in done.stderr
        assert made(alone / size / "toy") == made(alone / "toy")
