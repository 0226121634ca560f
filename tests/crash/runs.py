"""Runs of a recipe in processes of their own that end badly, and what runs have made."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit code (-9: SIGKILL), stages it announced, and what it complained."""

    code: int
    num_stages: int
    errors: list[str]


def run(
    recipe: str,
    exp: Path,
    options: Sequence[str],
    *,
    signal_after: tuple[signal.Signals, int] | None = None,
    max_file_bytes: int | None = None,
) -> Ended:
    """Run a recipe; a signal soon after so many stages, or no file larger than so many bytes."""
    command = [sys.executable, "-m", "unsup_asr.cli", "run", recipe, "--exp", str(exp), *options]

    def limit() -> None:
        if max_file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, max_file_bytes))

    announced = 0
    exp.mkdir(parents=True, exist_ok=True)
    with (
        (exp / "errors.txt").open("w+") as errors,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            preexec_fn=limit,
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            announced += line.startswith("[")
            if signal_after is not None and announced > signal_after[1]:
                time.sleep(0.2)  # into the next stage
                process.send_signal(signal_after[0])
                break
        code = process.wait()
        errors.seek(0)
        said = [line for line in errors.read().splitlines() if not line.startswith("WARNING")]
    return Ended(code, announced, said)


def made(root: Path) -> dict[str, dict[str, str]]:
    """sha256 of every file of every stage of the latest run, by stage; times left out."""
    found: dict[str, dict[str, str]] = {}
    for record in sorted((root / "latest").glob("*/stage.json")):
        outputs = json.loads(record.read_text("utf-8"))["outputs"]
        found[record.parent.name] = {name: facts["sha256"] for name, facts in outputs.items()}
    return found
