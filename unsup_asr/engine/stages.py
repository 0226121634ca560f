"""Stages with content keys: what a run does, in which order, and what it may skip.

A stage whose key (`unsup_asr.engine.keys`) has a finished folder is not run again: a changed option
runs again exactly what depends on it, and a run that was killed goes on where it was.
"""

from __future__ import annotations

import errno
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout
from omegaconf import DictConfig

from unsup_asr.engine.artifacts import (
    LOG,
    Artifact,
    DamagedArtifactError,
    check_contents,
    check_sizes,
    describe_outputs,
    link_latest,
    publish,
    read_record,
)
from unsup_asr.engine.keys import MISSING_FILE, stage_keys, visible_config
from unsup_asr.engine.record import logged_to, peak_rss_mb, versions

log = logging.getLogger(__name__)

_ALMOST_FULL_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Stage:
    """One step of the pipeline.

    `config_keys` are the config subtrees that it reads: a group, or `group.key`. `upstreams` are
    those, of the form `group.key`, that describe an upstream: its fingerprint enters the key.
    """

    name: str
    run: Callable[[StageContext], None]
    inputs: tuple[str, ...] = ()
    config_keys: tuple[str, ...] = ()
    version: int = 1
    reads_references: bool = False
    resumable: bool = False  # finds its own checkpoints in a partial folder
    stands_for: Mapping[str, str] = field(default_factory=dict)  # input, by the name it is read as
    external_files: Callable[[DictConfig], Sequence[Path]] = field(default=lambda _: ())
    upstreams: tuple[str, ...] = ()


@dataclass(frozen=True)
class StageContext:
    """What a running stage sees: its folder, its config subtrees, its declared inputs."""

    stage: str
    out: Path
    config: DictConfig
    seed: int
    artifacts: dict[str, Artifact]

    def input(self, name: str) -> Artifact:
        """The payload of an input stage."""
        assert name in self.artifacts, f"stage {self.stage} has not declared its input {name}"
        return self.artifacts[name]


class UnknownStageError(ValueError):
    """A stage was named that the graph does not have."""


class StageFailedError(RuntimeError):
    """A stage could not do its work; the cause says why."""


def run_stages(
    stages: Sequence[Stage],
    config: DictConfig,
    root: Path,
    *,
    until: str | None = None,
    force: Sequence[str] = (),
    announce: Callable[[str], None] = log.info,
) -> dict[str, Path]:
    """Run what is not done yet, under `root` (exp/<recipe>); the folder of each stage by name.

    `force` names stages to run again though they are done. Finished stages are checked by size,
    and by sha256 before a stage reads them. UnknownStageError for an unknown name;
    StageFailedError with the cause when a stage fails.
    """
    wanted = _wanted(stages, until, force)
    described = stage_keys(stages, config, root)
    folders: dict[str, Path] = {}
    trusted: set[str] = (
        set()
    )  # stages whose payload this run wrote, or has compared with its sha256
    for position, stage in enumerate(wanted, start=1):
        material = described[stage.name]
        final = root / stage.name / str(material["key"])
        folders[stage.name] = final
        title = f"[{position}/{len(wanted)}] {stage.name}"
        if stage.name not in force and _is_done(final):
            link_latest(final)
            announce(f"{title}: done before")
            continue
        _check_external_files(stage, material)
        for name in stage.inputs:
            if name not in trusted:
                with _damage_reported():
                    check_contents(folders[name])
                trusted.add(name)
        started = time.monotonic()
        with _storage_reported(stage.name, root), _locked(stage.name, final):
            if stage.name in force:
                for folder in (final, _partial(final)):
                    shutil.rmtree(folder, ignore_errors=True)
            if not _is_done(final):  # else another process finished it just before the lock
                _run_one(stage, config, final, folders, material)
        trusted.add(stage.name)
        announce(f"{title}: {time.monotonic() - started:.1f} s")
    if until is None:
        _forget_other_stages(root, [stage.name for stage in stages])
    return folders


def stages_that_see_references(stages: Sequence[Stage]) -> set[str]:
    """Names of the stages that read references, or anything made by a stage that did."""
    tainted: set[str] = set()
    for stage in stages:
        if stage.reads_references or tainted & set(stage.inputs):
            tainted.add(stage.name)
    return tainted


def _wanted(stages: Sequence[Stage], until: str | None, force: Sequence[str]) -> list[Stage]:
    """The stages that lead to `until`, or all of them."""
    names = [stage.name for stage in stages]
    for name in [*force, *([until] if until is not None else [])]:
        if name not in names:
            raise UnknownStageError(f"no stage named {name!r}; the stages are: {', '.join(names)}")
    if until is None:
        return list(stages)
    needed = {until}
    for stage in reversed(stages):
        if stage.name in needed:
            needed |= set(stage.inputs)
    for name in force:
        if name not in needed:
            raise UnknownStageError(f"stage {name!r} is not needed for {until!r}: nothing to force")
    return [stage for stage in stages if stage.name in needed]


def _is_done(final: Path) -> bool:
    with _damage_reported():
        if read_record(final) is None:
            return False
        check_sizes(final)
    return True


def _check_external_files(stage: Stage, material: Mapping[str, object]) -> None:
    external = material["external"]
    assert isinstance(external, dict)
    for path, digest in external.items():
        if digest == MISSING_FILE:
            raise StageFailedError(
                f"stage {stage.name}: {path} does not exist; the recipe names it, correct the path"
            )


def _run_one(
    stage: Stage,
    config: DictConfig,
    final: Path,
    folders: Mapping[str, Path],
    material: Mapping[str, object],
) -> None:
    """Run a stage in its partial folder and publish it."""
    partial = _partial(final)
    if partial.exists() and not stage.resumable:
        shutil.rmtree(partial)
    partial.mkdir(exist_ok=True)
    context = StageContext(
        stage=stage.name,
        out=partial,
        config=visible_config(config, stage.config_keys),
        seed=int(config.seed),
        artifacts={
            stage.stands_for.get(name, name): Artifact(name, folders[name], stage.reads_references)
            for name in stage.inputs
        },
    )
    started = time.monotonic()
    with logged_to(partial / LOG):
        log.info("stage %s, key %s", stage.name, final.name)
        try:
            stage.run(context)
        except OSError:
            log.exception("failed")
            raise
        except ValueError as error:
            log.exception("failed")
            raise StageFailedError(f"stage {stage.name}: {error}") from error
        except Exception as error:
            log.exception("failed")
            raise StageFailedError(
                f"stage {stage.name}: {type(error).__name__}: {error}{_space_hint(partial)} "
                f"(traceback in {partial / LOG})"
            ) from error
    record = {
        **material,
        "wall_s": round(time.monotonic() - started, 3),
        "peak_rss_mb": peak_rss_mb(),
        "versions": versions(),
        "reads_references": stage.reads_references,
        "outputs": describe_outputs(partial),
    }
    publish(partial, final, record)


def _partial(final: Path) -> Path:
    return final.with_name(f"{final.name}.partial")


@contextmanager
def _locked(name: str, final: Path) -> Iterator[None]:
    final.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(final.with_name(f".{final.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise StageFailedError(
            f"stage {name} is being run by another process, which holds {lock.lock_file}; "
            "wait for it to end"
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _damage_reported() -> Iterator[None]:
    try:
        yield
    except DamagedArtifactError as error:
        raise StageFailedError(str(error)) from error


@contextmanager
def _storage_reported(name: str, root: Path) -> Iterator[None]:
    """Say in words what the operating system refused, and what to do about it."""
    try:
        yield
    except OSError as error:
        refused = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}
        remedy = ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            remedy = f". The disk of {root} is full: free space, or write elsewhere with --exp"
        elif error.errno in refused:
            remedy = f". Is {root} a folder that you may write to? --exp names another one"
        raise StageFailedError(f"stage {name}: {error}{remedy or _space_hint(root)}") from error


def _space_hint(folder: Path) -> str:
    """Said when the disk is nearly full: not every library reports that as what it is."""
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free > _ALMOST_FULL_BYTES:
        return ""
    return f". The disk of {folder} has only {free / 2**20:.0f} MiB left: free space"


def _forget_other_stages(root: Path, names: Sequence[str]) -> None:
    """Remove links in `latest` to stages that the graph no longer has: reports read all links."""
    for link in (root / "latest").glob("*"):
        if link.is_symlink() and link.name not in names:
            link.unlink()
