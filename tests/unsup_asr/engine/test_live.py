"""A run while it runs: its line, its file, minutes in logs, the memory of a stage."""

from __future__ import annotations

import io
import json
import os
import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from unsup_asr.engine.live import Live, Running, newest
from unsup_asr.engine.stages import Stage, StageContext, StageFailedError, run_stages
from unsup_asr.progress import progress, progress_bar

CONFIG = OmegaConf.create({"seed": 0, "runtime": {"num_threads": 1}})


def until(happens) -> None:
    """Wait for what another thread does; its absence ends the test, not its speed."""
    end = time.monotonic() + 30
    while not happens():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def live(root: Path, told: list[str], **options: object) -> Live:
    return Live(root, command="unsup-asr run x", announce=told.append, draw_s=0.01, **options)  # type: ignore[arg-type]


def test_a_stage_says_how_far_it_is_and_how_long_the_rest_takes(tmp_path: Path) -> None:
    told: list[str] = []

    def work(_: StageContext) -> None:
        with progress_bar(4, "speak the text") as step:
            step()
            until(lambda: any("speak the text 1 of 4" in line for line in told))

    with live(tmp_path, told, tell_s=0) as shown:
        run_stages([Stage("a", work)], CONFIG, tmp_path, observe=shown.stage)
    line = next(line for line in told if "speak the text 1 of 4" in line)
    pattern = r"\[1/1\] a: \d+ s, speak the text 1 of 4, about \d+ s left, \d+ MB, cpu"
    assert re.fullmatch(pattern, line)


def test_its_own_log_has_the_line_too(tmp_path: Path) -> None:
    def work(context: StageContext) -> None:
        until(lambda: "[1/1] a: 0 s" in (context.out / "log.txt").read_text("utf-8"))

    with live(tmp_path, [], tell_s=0) as shown:
        run_stages([Stage("a", work)], CONFIG, tmp_path, observe=shown.stage)


def test_a_terminal_gets_one_line_that_is_cleared_and_nothing_is_announced(tmp_path: Path) -> None:
    told, terminal = [], io.StringIO()

    def work(_: StageContext) -> None:
        for _item in progress(range(3), "count"):
            until(lambda: "count" in terminal.getvalue())

    with live(tmp_path, told, tell_s=0, terminal=terminal) as shown:
        run_stages([Stage("a", work)], CONFIG, tmp_path, observe=shown.stage)
    assert told == []
    assert "\n" not in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_the_file_of_a_run_says_what_it_does_and_how_it_ended(tmp_path: Path) -> None:
    seen: list[Running] = []

    def work(_: StageContext) -> None:
        until(lambda: newest(tmp_path) and newest(tmp_path).stage == "a")
        seen.append(newest(tmp_path))
        raise ValueError("no speech in it")

    with pytest.raises(StageFailedError), live(tmp_path, []) as shown:
        run_stages([Stage("a", work)], CONFIG, tmp_path, observe=shown.stage)
    assert (seen[0].state, seen[0].position, seen[0].pid) == ("running", 1, os.getpid())
    assert str(newest(tmp_path)) == "failed: stage a: no speech in it"
    old = tmp_path / ".live" / "other-1.json"
    old.write_text(next((tmp_path / ".live").iterdir()).read_text())
    with live(tmp_path, []):
        pass
    assert newest(tmp_path).state == "done"
    assert len(list((tmp_path / ".live").iterdir())) == 1  # that of the run before is gone


def test_a_run_whose_process_is_gone_was_killed(tmp_path: Path) -> None:
    (tmp_path / ".live").mkdir()
    now = live(tmp_path, []).now
    gone = replace(now, pid=2**22 + 1, stage="gan")  # above what Linux gives
    (tmp_path / ".live" / "x.json").write_text(json.dumps(gone.__dict__), "utf-8")
    assert str(newest(tmp_path)) == "ended: its process was killed in stage gan"


def test_a_stage_that_ran_before_tells_what_it_took(tmp_path: Path) -> None:
    run_stages([Stage("a", lambda _: None)], CONFIG, tmp_path)
    record = next(tmp_path.glob("a/*/stage.json"))
    content = json.loads(record.read_text("utf-8"))
    record.write_text(json.dumps({**content, "wall_s": 7500}), "utf-8")
    shown = live(tmp_path, [])
    with shown, shown.stage(tmp_path / "a" / "key", 1, 1):
        assert "2.1 h the last time" in str(shown.now)


def test_the_peak_memory_of_a_stage_is_its_own(tmp_path: Path) -> None:
    def large(_: StageContext) -> None:
        np.ones(50_000_000).sum()  # 400 MB

    stages = [Stage("large", large), Stage("small", lambda _: None, ("large",))]
    folders = run_stages(stages, CONFIG, tmp_path)
    peak = {
        n: json.loads((f / "stage.json").read_text())["peak_rss_mb"] for n, f in folders.items()
    }
    assert peak["large"] - peak["small"] > 300
