"""Kill a run with SIGKILL in each of its stages, let it go on, and compare with one left alone.

    python -m benchmarks.kill_resume toy [key=value ...]

Prints the stages killed and whether the phone error rates are identical; exit 1 when they are not.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path


def run(recipe: str, exp: Path, options: Sequence[str], *, kill_after: int | None = None) -> int:
    """Start the run; with `kill_after`, kill it soon after so many stages. Stages it announced."""
    command = [sys.executable, "-m", "unsup_asr.cli", "run", recipe, "--exp", str(exp), *options]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    announced = 0
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            announced += line.startswith("[")
            if kill_after is not None and announced > kill_after:
                time.sleep(0.3)  # into the next stage
                process.send_signal(signal.SIGKILL)
                break
    if kill_after is None and process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return announced


def rates(recipe: str, exp: Path) -> dict[str, float]:
    """Phone error rates of the finished run."""
    results = exp / recipe / "latest" / "evaluate" / "results.json"
    rows = json.loads(results.read_text("utf-8"))["rows"]
    return {name: row["per"] for name, row in rows.items()}


def compare(
    recipe: str, folder: Path, options: Sequence[str], kills: Sequence[int] | None = None
) -> bool:
    """Whether a run killed after stages `kills` (None: after each) ends as one left alone."""
    num_stages = run(recipe, folder / "alone", options)
    for number in range(num_stages - 1) if kills is None else kills:
        reached = run(recipe, folder / "killed", options, kill_after=number)
        print(f"killed after {reached} of {num_stages} stages", flush=True)
    run(recipe, folder / "killed", options)
    alone, killed = rates(recipe, folder / "alone"), rates(recipe, folder / "killed")
    for name in alone:
        print(f"{name:<20}{alone[name]:8.3f}{killed[name]:8.3f}")
    return alone == killed


def main() -> int:
    """Compare as the command line says."""
    recipe, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        same = compare(recipe, Path(folder), options)
    print("identical" if same else "NOT identical")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
