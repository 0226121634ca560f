"""`sweep`: a recipe with many options, over processes, GPUs or SLURM; one is chosen at the end."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from unsup_asr.commands import UsageError
from unsup_asr.commands.run import graph_of
from unsup_asr.commands.sweep_jobs import Jobs, LocalJobs, Run, submitit_jobs
from unsup_asr.engine.config import build_all
from unsup_asr.engine.grid import grid, read_points
from unsup_asr.engine.keys import stage_keys
from unsup_asr.engine.recipe import load_recipe
from unsup_asr.engine.recipe_files import RecipeError
from unsup_asr.engine.runs import make_latest, run_name
from unsup_asr.extraction.launchers.local import visible_gpus
from unsup_asr.formats.whole import write_whole
from unsup_asr.report.sweep import SweepRow, chosen_row, read_row, sweep_json, sweep_table

SWEEPS = "sweeps"
_POLL_S = 0.2


def sweep(arguments: argparse.Namespace) -> int:
    """Run all points, print the table, make the chosen run the latest; 1 when some run failed."""
    points = _points(arguments)
    root, rows, num_gpus = _checked(arguments, points)
    name = hashlib.sha256(json.dumps([points, arguments.until]).encode()).hexdigest()[:12]
    folder = root / SWEEPS / name
    folder.mkdir(parents=True, exist_ok=True)
    until = ["--until", arguments.until] if arguments.until else []
    common = [sys.executable, "-m", "unsup_asr", "run", arguments.recipe, "--wait"]
    runs = [
        Run(
            number=row.number,
            command=(*common, "--exp", arguments.exp, *until, *row.options),
            log=folder / f"{row.number}.log",
            num_gpus=count,
        )
        for row, count in zip(rows, num_gpus, strict=True)
    ]
    print(f"{len(rows)} runs of {root.name}; their output: {folder}", flush=True)
    rows = play(rows, runs, _jobs(arguments, runs, folder))
    rows = [row if row.error or row.run is None else read_row(row, root) for row in rows]
    chosen = chosen_row(rows)
    table = sweep_table(rows, chosen)
    print("\n".join(["", *table]))
    write_whole(folder / "sweep.json", sweep_json(rows, chosen) + "\n")
    write_whole(folder / "sweep.txt", "\n".join(table) + "\n")
    if chosen is not None and chosen.run is not None:
        make_latest(root, chosen.run)
        print(f"{root / 'latest'} is run {chosen.number} now")
    return int(any(row.error for row in rows))


def _points(arguments: argparse.Namespace) -> list[tuple[str, ...]]:
    """Options of each run, each once."""
    try:
        points = grid(arguments.overrides)
        if arguments.points is not None:
            listed = read_points(Path(arguments.points))
            points = [(*common, *own) for common in points for own in listed]
    except RecipeError as error:
        raise UsageError(str(error)) from error
    points = list(dict.fromkeys(points))
    if len(points) > arguments.max_runs:
        raise UsageError(
            f"{len(points)} runs; expected at most {arguments.max_runs}: give fewer values, or "
            f"--max-runs {len(points)} if that many are meant"
        )
    if len(points) < 2:
        raise UsageError(
            "a sweep of one run; give an option several values (seed=0,1,2) or a file of --points, "
            "or use `unsup-asr run`"
        )
    return points


def _checked(
    arguments: argparse.Namespace, points: Sequence[tuple[str, ...]]
) -> tuple[Path, list[SweepRow], list[int]]:
    """The recipe's folder; one row a point, with the run that it will make; how many GPUs it uses,
    0 where its options name one.

    Every point is composed, checked and built before the first one runs.
    """
    roots: set[Path] = set()
    rows: list[SweepRow] = []
    num_gpus: list[int] = []
    for number, options in enumerate(points):
        try:
            config = load_recipe(arguments.recipe, list(options))
            build_all(config)
            stages = graph_of(config)
        except (RecipeError, UsageError) as error:
            raise UsageError(f"run {number} ({' '.join(options)}): {error}") from error
        root = Path(arguments.exp) / config.recipe
        roots.add(root)
        described = stage_keys(stages, config, root)
        known = {name: str(material["key"]) for name, material in described.items()}
        name = None if arguments.until else run_name(known)
        rows.append(SweepRow(number=number, options=options, run=name))
        takes_any = config.runtime.device in ("auto", "cuda")
        num_gpus.append(config.runtime.processes if takes_any else 0)
    if len(roots) > 1:
        raise UsageError(
            "the runs go to several folders: recipe= cannot be swept; use one sweep for each"
        )
    return roots.pop(), rows, num_gpus


def _jobs(arguments: argparse.Namespace, runs: Sequence[Run], folder: Path) -> Jobs:
    gpus = visible_gpus()
    if arguments.launcher == "slurm":
        return submitit_jobs(
            runs,
            cluster=arguments.cluster,
            folder=folder / "submitit",
            num_at_a_time=arguments.jobs,
            gpus=gpus,
            minutes=arguments.minutes,
            num_gpus=arguments.gpus,
            parameters=dict(option.split("=", 1) for option in arguments.slurm),
        )
    per_run = max(1, *(run.num_gpus for run in runs))
    return LocalJobs(num_slots=arguments.jobs or max(1, len(gpus) // per_run), gpus=gpus)


def play(rows: Sequence[SweepRow], runs: Sequence[Run], jobs: Jobs) -> list[SweepRow]:
    """Run all, as many at a time as there are slots; the rows with how each ended.

    Whatever ends the sweep ends what runs.
    """
    left = list(zip(rows, runs, strict=True))
    busy: dict[int, tuple[SweepRow, Run, float]] = {}  # by slot
    ended: dict[int, SweepRow] = {}
    try:
        while left or busy:
            free = [slot for slot in range(jobs.num_slots) if slot not in busy]
            for slot, (row, run) in zip(free, left, strict=False):
                busy[slot] = (row, run, time.monotonic())
                jobs.start(run, slot)
            left = left[len(free) :]
            time.sleep(_POLL_S)
            for slot, (row, run, started) in list(busy.items()):
                if (code := jobs.ended(run)) is not None:
                    seconds = time.monotonic() - started
                    ended[row.number] = _told(row, code, seconds, run.log, len(rows))
                    del busy[slot]
    except BaseException:
        jobs.end()
        raise
    return [ended[row.number] for row in rows]


def _told(row: SweepRow, code: int, seconds: float, log: Path, count: int) -> SweepRow:
    """One line of how a run ended."""
    lines = log.read_text("utf-8", "replace").strip().splitlines() if log.exists() else []
    error = None
    if code != 0:
        said = [line for line in lines if line.startswith("unsup-asr run:")]
        error = f"{(said or lines or ['no output'])[-1].removeprefix('unsup-asr run: ')} ({log})"
    words = f"failed: {error}" if error else "done"
    print(
        f"[run {row.number} of {count}] {' '.join(row.options)}: {words}, {seconds:.0f} s",
        flush=True,
    )
    return replace(row, seconds=round(seconds, 1), error=error)
