"""`clean`: what an experiment keeps that its recipe no longer makes, and the disk it takes."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from unsup_asr.commands import experiment_root
from unsup_asr.commands.run import graph_of, recipe_of
from unsup_asr.engine.keys import stage_keys
from unsup_asr.engine.runs import LATEST, MANIFEST, RUNS

_PARTIAL = ".partial"


@dataclass(frozen=True)
class _Stale:
    """A folder of a stage that neither the recipe, as it is now, nor a run that is kept needs."""

    folder: Path
    size: int  # bytes


def clean(arguments: argparse.Namespace) -> int:
    """Print each stale folder and its size; with --remove remove them, and the runs they were of.

    Kept are the stages of the recipe with these options and those of the latest run, with
    --keep-runs those of every run that ended. A stage that is being made is left alone.
    """
    config = recipe_of(arguments, only_own=True)
    root = experiment_root(arguments.exp, config.recipe)
    described = stage_keys(graph_of(config), config, root, ask_foreign=False)
    kept = {(name, str(material["key"])) for name, material in described.items()}
    runs = root.glob(f"{RUNS}/*") if arguments.keep_runs else [root / LATEST]
    for run in runs:
        kept |= _stages_of(run)
    stale = sorted(_stale(root, kept), key=lambda one: (-one.size, str(one.folder)))
    for one in stale:
        print(f"{one.size / 1e6:10.1f} MB  {one.folder.relative_to(root)}")
    total = f"{sum(one.size for one in stale) / 1e6:.1f} MB in {len(stale)} stale folders of {root}"
    if not arguments.remove:
        print(f"{total}{'; --remove removes them' if stale else ''}")
        return 0
    removed = [one for one in stale if _remove(one.folder)]
    for run in root.glob(f"{RUNS}/[!.]*"):
        if any(not link.exists() for link in run.iterdir() if link.is_symlink()):
            shutil.rmtree(run)
    print(f"{total}; {len(removed)} removed")
    return 0


def _stages_of(run: Path) -> set[tuple[str, str]]:
    path = run / MANIFEST
    if not path.is_file():
        return set()
    stages = json.loads(path.read_text("utf-8"))["stages"]
    return {(name, str(facts["key"])) for name, facts in stages.items()}


def _stale(root: Path, kept: set[tuple[str, str]]) -> Iterator[_Stale]:
    for folder in root.glob("[!.]*/[!.]*"):
        is_stage = (folder / "stage.json").is_file() or folder.name.endswith(_PARTIAL)
        key = folder.name.removesuffix(_PARTIAL)
        if folder.is_symlink() or not is_stage or folder.parent.name in (LATEST, RUNS):
            continue
        if (folder.parent.name, key) not in kept:
            files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
            yield _Stale(folder, sum(path.stat().st_size for path in files))


def _remove(folder: Path) -> bool:
    """Whether it could be removed: not while a process is at work in it."""
    lock = FileLock(folder.with_name(f".{folder.name.removesuffix(_PARTIAL)}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    shutil.rmtree(folder)
    lock.release()
    return True
