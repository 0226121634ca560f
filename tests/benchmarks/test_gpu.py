"""The script for a GPU, rehearsed: it may be run once only, so it must not fail by a mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.gpu.parts import PARTS, Setting
from tests.pretend_device import pretend_device
from unsup_asr import compute

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "name", [n for n in PARTS if n not in ("sixteen", "steps")]
)  # seconds on a CPU
def test_every_part_finds_something(name: str) -> None:
    with compute.using("cpu"):
        rows = list(PARTS[name].run(Setting("cpu", is_tiny=True, fairseq=None)))
    assert rows
    json.dumps(rows)


def test_steps_compare_a_device_with_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    with pretend_device() as pretend:
        monkeypatch.setattr(compute, "_device", lambda _: pretend.device)
        using = compute.using
        monkeypatch.setattr(
            compute, "using", lambda d: using(d if d == "pretended" else torch.device(d))
        )
        rows = list(PARTS["steps"].run(Setting("pretended", is_tiny=True, fairseq=None)))
    assert all(float(str(row["largest_relative_difference"])) < 1e-2 for row in rows)


def test_all_parts_together_end_within_eight_minutes() -> None:
    assert sum(part.limit_s for part in PARTS.values()) <= 480


def test_a_part_that_fails_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.gpu.run", "--tiny", "--device", "cuda:99"]
    command += ["--only", "card", "validation", "--out", str(tmp_path / "rows.jsonl")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [row["part"] for row in rows] == ["card", "validation"]
    assert all("'cuda:99', but there" in row["error"] for row in rows)
