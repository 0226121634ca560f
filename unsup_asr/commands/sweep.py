"""`sweep`: a recipe with many options, over processes, GPUs or SLURM; one is chosen at the end."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

from unsup_asr.commands import UsageError
from unsup_asr.commands.run import graph_of
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
    root, rows = _checked(arguments, points)
    name = hashlib.sha256(json.dumps([points, arguments.until]).encode()).hexdigest()[:12]
    folder = root / SWEEPS / name
    folder.mkdir(parents=True, exist_ok=True)
    commands = [_command(arguments, row.options) for row in rows]
    print(f"{len(rows)} runs of {root.name}; their output: {folder}", flush=True)
    play = _on_slurm if arguments.launcher == "slurm" else _here
    rows = play(arguments, rows, commands, folder)
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
) -> tuple[Path, list[SweepRow]]:
    """The recipe's folder and one row a point, with the run that it will make.

    Every point is composed, checked and built before the first one runs.
    """
    roots: list[Path] = []
    rows: list[SweepRow] = []
    for number, options in enumerate(points):
        try:
            config = load_recipe(arguments.recipe, list(options))
            build_all(config)
            stages = graph_of(config)
        except (RecipeError, UsageError) as error:
            raise UsageError(f"run {number} ({' '.join(options)}): {error}") from error
        root = Path(arguments.exp) / config.recipe
        roots.append(root)
        described = stage_keys(stages, config, root)
        known = {name: str(material["key"]) for name, material in described.items()}
        name = None if arguments.until else run_name(known)
        rows.append(SweepRow(number=number, options=options, run=name))
    if len(set(roots)) > 1:
        raise UsageError(
            "the runs go to several folders: recipe= cannot be swept; use one sweep for each"
        )
    return roots[0], rows


def _command(arguments: argparse.Namespace, options: Sequence[str]) -> list[str]:
    until = ["--until", arguments.until] if arguments.until else []
    command = [sys.executable, "-m", "unsup_asr", "run", arguments.recipe, "--wait"]
    return [*command, "--exp", arguments.exp, *until, *options]


def _here(
    arguments: argparse.Namespace,
    rows: Sequence[SweepRow],
    commands: Sequence[Sequence[str]],
    folder: Path,
) -> list[SweepRow]:
    """Some runs at a time, each with one of the GPUs where there are any."""
    gpus = visible_gpus()
    count = arguments.jobs or max(1, len(gpus))
    slots = list(range(count))
    running: dict[Future[int], tuple[SweepRow, int, float]] = {}
    children: dict[int, subprocess.Popen[bytes]] = {}
    left = list(zip(rows, commands, strict=True))
    ended: dict[int, SweepRow] = {}
    with ThreadPoolExecutor(count) as pool:
        try:
            while left or running:
                while left and slots:
                    (row, command), slot = left.pop(0), slots.pop(0)
                    gpu = {"CUDA_VISIBLE_DEVICES": gpus[slot % len(gpus)]} if gpus else {}
                    log = (folder / f"{row.number}.log").open("wb")
                    child = subprocess.Popen(
                        command,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        env={**os.environ, **gpu},
                    )
                    log.close()
                    children[row.number] = child
                    running[pool.submit(child.wait)] = (row, slot, time.monotonic())
                done, _ = wait(running, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                for future in done:
                    row, slot, started = running.pop(future)
                    slots.append(slot)
                    seconds = time.monotonic() - started
                    ended[row.number] = _told(row, future.result(), seconds, folder, len(rows))
        except BaseException:
            for child in children.values():
                child.terminate()
            raise
    return [ended[row.number] for row in rows]


def _on_slurm(
    arguments: argparse.Namespace,
    rows: Sequence[SweepRow],
    commands: Sequence[Sequence[str]],
    folder: Path,
) -> list[SweepRow]:
    """One job a run, through submitit; `--cluster local` runs them on this machine."""
    try:
        import submitit
    except ModuleNotFoundError as error:
        raise UsageError(
            "the package 'submitit' is not installed, which jobs are submitted with: "
            "pip install 'unsup-asr[slurm]'"
        ) from error
    executor = submitit.AutoExecutor(folder=folder / "submitit", cluster=arguments.cluster)
    parameters = dict(option.split("=", 1) for option in arguments.slurm)
    executor.update_parameters(
        name="unsup-asr-sweep",
        timeout_min=arguments.minutes,
        gpus_per_node=arguments.gpus,
        **parameters,
    )
    if arguments.jobs and arguments.cluster == "slurm":
        executor.update_parameters(slurm_array_parallelism=arguments.jobs)
    logs = [str(folder / f"{row.number}.log") for row in rows]
    started = time.monotonic()
    jobs = executor.map_array(run_point, [list(c) for c in commands], logs)
    ended: dict[int, SweepRow] = {}
    try:
        while len(ended) < len(rows):
            for row, job in zip(rows, jobs, strict=True):
                if row.number not in ended and job.done():
                    seconds = time.monotonic() - started
                    has_result = job.paths.result_pickle.exists() and job.exception() is None
                    code = int(job.result()) if has_result else -1
                    ended[row.number] = _told(row, code, seconds, folder, len(rows))
            time.sleep(_POLL_S)
    except BaseException:
        for job in jobs:
            job.cancel()
        raise
    return [ended[row.number] for row in rows]


def run_point(command: Sequence[str], log: str) -> int:
    """The exit status of one run, whose output goes to a file."""
    with Path(log).open("wb") as file:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, check=False
        ).returncode


def _told(row: SweepRow, code: int, seconds: float, folder: Path, count: int) -> SweepRow:
    """One line of how a run ended."""
    log = folder / f"{row.number}.log"
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
