"""Own memory and time of every stage of a recipe at two sizes, and which stages grow.

    python -m benchmarks.scale --hours 0.5 2
    ... --recipe demo realign.num_rounds=2       # another recipe of synthetic speech, its options

Every stage runs in a process of its own, `unsup-asr run --until STAGE`. Its memory is the peak of
anonymous pages (Pss_Anon of the process and its children, sampled every 20 ms) above that of a run
in which nothing was left to do: pages of memory-mapped files are not counted, nor is what all runs
hold. Growth is per hour of training audio between the two sizes; text is of one size in both.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unsup_asr.engine.recipe import load_recipe
from unsup_asr.pipeline import build_graph

GROWS_MB_AN_HOUR = 5.0
_UTTERANCES_AN_HOUR = 1350  # of espeak-ng's 6 to 12 words, about; the hours are read from the run
_LIMIT_S = 3600


@dataclass(frozen=True)
class Cost:
    """Peak MB of anonymous pages and seconds of one run."""

    mb: float
    seconds: float


def main() -> None:
    """Run all stages at both sizes; print a row for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=float, nargs=2, default=(1.0, 10.0))
    parser.add_argument("--recipe", default="toy")
    parser.add_argument("options", nargs="*", metavar="key=value")
    arguments = parser.parse_args()
    sizes = [int(hours * _UTTERANCES_AN_HOUR) for hours in arguments.hours]
    with tempfile.TemporaryDirectory() as folder:
        runs = [
            Run(arguments.recipe, size, arguments.options, Path(folder) / str(size))
            for size in sizes
        ]
        costs = [run.costs() for run in runs]
        hours = [run.hours() for run in runs]
    print(f"hours of training audio: {hours[0]:.2f}, {hours[1]:.2f}")
    for stage, small in costs[0].items():
        print(row(stage, small, costs[1][stage], *hours), flush=True)


@dataclass(frozen=True)
class Run:
    """A recipe with so many training utterances, and where its stages are."""

    recipe: str
    utterances: int
    options: Sequence[str]
    exp: Path

    def costs(self) -> dict[str, Cost]:
        """Of each stage, in the order of the graph."""
        arguments = self._arguments()
        config = load_recipe(self.recipe, arguments)
        names = [stage.name for stage in build_graph(config)]
        costs = {name: self._watched(name) for name in names}
        idle = self._watched(names[-1])
        return {
            name: Cost(max(cost.mb - idle.mb, 0.0), max(cost.seconds - idle.seconds, 0.0))
            for name, cost in costs.items()
        }

    def hours(self) -> float:
        """Of training audio, as the corpus counts them."""
        (found,) = self.exp.glob("*/latest/corpus/corpus.json")
        return float(json.loads(found.read_text("utf-8"))["train"]["hours"])

    def _arguments(self) -> list[str]:
        return [f"corpus.num_train_utterances={self.utterances}", *self.options]

    def _watched(self, until: str) -> Cost:
        command = [sys.executable, "-m", "unsup_asr", "run", self.recipe, *self._arguments()]
        command += ["--exp", str(self.exp), "--until", until]
        start = time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
            peak = 0.0
            while run.poll() is None:
                peak = max(peak, sum(map(anonymous_mb, family(run.pid))))
                if time.monotonic() - start > _LIMIT_S:
                    run.kill()
                time.sleep(0.02)
            assert run.stderr is not None
            said = run.stderr.read().decode()
        print(f"{self.utterances} utterances, {until}: {peak:.0f} MB", flush=True)
        if run.returncode:
            sys.exit(f"{until} at {self.utterances} utterances: {said[-2000:]}")
        return Cost(peak, time.monotonic() - start)


def family(pid: int) -> list[int]:
    """The process and all that it started, as far as they still run."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in task.read_text("ascii").split()]
        except OSError:  # it has ended
            continue
        for child in children:
            found += family(child)
    return found


def anonymous_mb(pid: int) -> float:
    """Anonymous pages of a process, 10^6 bytes; 0 where it has ended.

    A page that a child has from its parent is counted in halves.
    """
    try:
        pages = Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8")
    except OSError:
        return 0.0
    if "Pss_Anon:" not in pages:
        return 0.0
    return int(pages.split("Pss_Anon:")[1].split()[0]) * 1024 / 1e6


def row(stage: str, small: Cost, large: Cost, small_hours: float, large_hours: float) -> str:
    """A line of the table: both sizes, growth, and what 100 and 960 hours would take."""
    grows = (large.mb - small.mb) / (large_hours - small_hours)
    at_100, at_960 = (large.mb + max(grows, 0.0) * (hours - large_hours) for hours in (100, 960))
    return (
        f"| {stage} | {small.mb:.0f} | {large.mb:.0f} | {grows:+.1f} | {at_100:.0f} | {at_960:.0f} "
        f"| {large.seconds / large_hours:.0f} |{' grows' if grows > GROWS_MB_AN_HOUR else ''}"
    )


if __name__ == "__main__":
    main()
