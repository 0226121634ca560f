"""`run` and `status`: a recipe's stages."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import faiss
import torch
from omegaconf import DictConfig
from torch import distributed

from unsup_asr import compute
from unsup_asr.commands import UsageError, experiment_root
from unsup_asr.commands.devices import compute_on
from unsup_asr.engine.config import build_all, foreign
from unsup_asr.engine.live import Live, newest
from unsup_asr.engine.recipe import load_recipe
from unsup_asr.engine.recipe_files import RecipeError
from unsup_asr.engine.runs import record_of
from unsup_asr.engine.stages import Stage, UnknownStageError, run_stages
from unsup_asr.engine.status import status as stage_status
from unsup_asr.formats.names import shown
from unsup_asr.pipeline import build_graph
from unsup_asr.progress import noting
from unsup_asr.report.scalars import LiveScalars, write_tensorboard

_FOLLOWED_EVERY_S = 60.0


def run(arguments: argparse.Namespace) -> int:
    """Run a recipe, one line a stage."""
    config = recipe_of(arguments)
    build_all(config)
    set_threads(config.runtime.sum_threads)
    bound_kernels()
    runtime = config.runtime
    if distributed.is_torchelastic_launched():
        raise UsageError(
            "a run starts its other processes itself: call it without torchrun, with "
            "runtime.processes=4 for four GPUs"
        )
    compute_on(
        runtime.device,
        runtime.precision,
        replays=runtime.cuda_graphs,
        num_processes=runtime.processes,
    )
    root = Path(arguments.exp) / config.recipe
    record = record_of(arguments.recipe, arguments.overrides, until=arguments.until)
    stages = graph_of(config)
    announce = _announce_json if arguments.log_format == "json" else partial(print, flush=True)
    draws = arguments.log_format == "text" and sys.stderr.isatty()
    try:
        with Live(
            root,
            command=record.command,
            announce=announce,
            terminal=sys.stderr if draws else None,
        ) as live:
            run_stages(
                stages,
                config,
                root,
                until=arguments.until,
                force=arguments.force,
                record=record,
                arithmetic=arithmetic(runtime.processes),
                announce=announce,
                observe=partial(_observed, live, root, tensorboard=runtime.tensorboard),
                wait=arguments.wait,
            )
    except UnknownStageError as error:
        raise UsageError(str(error)) from error
    return 0


@contextmanager
def _observed(
    live: Live, root: Path, final: Path, position: int, num_stages: int, *, tensorboard: bool
) -> Iterator[None]:
    """Show a stage while it runs, and write its curves, where they are wanted: as it learns, or
    afterwards what it has not noted on its way.
    """
    out = root / "tensorboard"
    with ExitStack() as listening:
        scalars = LiveScalars(final, out)
        if tensorboard:
            listening.callback(scalars.close)
            listening.enter_context(noting(scalars.write))
        with live.stage(final, position, num_stages):
            yield
    if tensorboard and not scalars.has_any:
        write_tensorboard(final, out)


def _announce_json(message: str) -> None:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    print(json.dumps({"time": now, "level": "INFO", "message": message}), flush=True)


def _follow(root: Path) -> int:
    """Print what the newest run does, each time that something begins and once a minute, until it
    ends; 1 when it failed.
    """
    told, told_at = ("", "", ""), 0.0
    while True:
        now = newest(root)
        if now is None:
            raise UsageError(
                f"{root}: no run has begun there; expected one begun by `unsup-asr run`"
            )
        begins = (now.state, now.stage, now.doing)
        if begins != told or time.monotonic() - told_at >= _FOLLOWED_EVERY_S:
            told, told_at = begins, time.monotonic()
            print(now, flush=True)
        if now.state != "running":
            return int(now.state != "done")
        time.sleep(1)


def status(arguments: argparse.Namespace) -> int:
    """Print the state of each stage, 1 when a finished one is damaged; or follow the run.

    Nobody's code is run for it but with --trust.
    """
    trust = arguments.trust
    config = recipe_of(arguments, only_own=not trust)
    root = experiment_root(arguments.exp, config.recipe)
    if arguments.follow:
        return _follow(root)
    others = [] if trust else foreign(config)
    if not trust and foreign(config.corpus):
        raise UsageError(
            f"the corpus is read by {others[0]}, which is no class of this project: to ask it for "
            "its files is to run its code. Allow it (--trust) for a recipe that you trust"
        )
    rows = stage_status(graph_of(config), config, root, ask_foreign=trust)
    width = max(len(row.stage) for row in rows)
    for row in rows:
        print(f"{row.stage:<{width}}  {row.state:<8} {row.key}  {shown(row.reason)}".rstrip())
    if others:
        print(
            f"{', '.join(dict.fromkeys(others))}: not of this project, so not run; weights are "
            "taken for those of the last run (--trust asks)"
        )
    return int(any(row.state == "damaged" for row in rows))


def recipe_of(arguments: argparse.Namespace, *, only_own: bool = False) -> DictConfig:
    """The config that the command line names; a wrong one is wrong usage."""
    try:
        return load_recipe(arguments.recipe, arguments.overrides, only_own=only_own)
    except RecipeError as error:
        raise UsageError(str(error)) from error


def graph_of(config: DictConfig) -> list[Stage]:
    """The stages of a recipe; options that leave no graph are wrong usage."""
    try:
        return build_graph(config)
    except RecipeError as error:
        raise UsageError(str(error)) from error


def bound_kernels() -> None:
    """Few compiled convolutions are kept: oneDNN would keep 1024, one for each shape of a batch,
    which is a gigabyte that grows through an epoch. It looks once, before the first product.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")


def set_threads(sum_threads: int) -> None:
    """Threads that share one sum, in torch and faiss."""
    faiss.omp_set_num_threads(sum_threads)
    torch.set_num_threads(sum_threads)


def arithmetic(num_processes: int) -> dict[str, str]:
    """What decides how sums are rounded: other values give results that are not bit-identical."""
    return {
        "sum_threads": str(torch.get_num_threads()),
        "processes": str(num_processes),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "device": compute.device_name(),
        "precision": compute.precision_name(),
        "float32_matmul": torch.get_float32_matmul_precision(),
    }
