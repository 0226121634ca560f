"""A sweep of the toy recipe's first stages, in processes of its own."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

import pytest

from unsup_asr.cli import main
from unsup_asr.commands.sweep import _on_slurm
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


def test_jobs_of_submitit_end_as_processes_do(tmp_path: Path, capsys: Printed) -> None:
    asked = argparse.Namespace(cluster="local", slurm=[], minutes=1, gpus=0, jobs=0)
    rows = [SweepRow(number=number, options=(f"seed={number}",)) for number in range(2)]
    ends = ["print('well')", "import sys; sys.exit('unsup-asr run: no disk')"]
    commands = [[sys.executable, "-c", text] for text in ends]
    found = _on_slurm(asked, rows, commands, tmp_path)
    assert [row.error for row in found] == [None, f"no disk ({tmp_path / '1.log'})"]
    assert (tmp_path / "0.log").read_text() == "well\n"
    assert "[run 1 of 2] seed=1: failed: no disk" in capsys.readouterr().out


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
