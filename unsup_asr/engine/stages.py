"""Stages with content keys: what a run does, in which order, and what it may skip.

A stage whose key (`unsup_asr.engine.keys`) has a finished folder is not run again: a changed option
runs again exactly what depends on it, and a run that was killed goes on where it was.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout
from omegaconf import DictConfig

from unsup_asr import used
from unsup_asr.engine.artifacts import Artifact, publish, restore
from unsup_asr.engine.keys import (
    MISSING_FILE,
    DigestCache,
    runtime_options,
    stage_keys,
    visible_config,
)
from unsup_asr.engine.memory import PeakMemory
from unsup_asr.engine.partial import Beginning, begin, partial_folder
from unsup_asr.engine.record import logged_to, versions
from unsup_asr.engine.runs import keep_run
from unsup_asr.formats.finished import (
    LOG,
    DamagedArtifactError,
    check_contents,
    check_sizes,
    describe_outputs,
    read_record,
)
from unsup_asr.types import RunRecord

log = logging.getLogger(__name__)

_ALMOST_FULL_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Stage:
    """One step of the pipeline.

    `config_keys` are the config subtrees that it reads: a group, or `group.key`; options in
    `hidden` it neither sees nor depends on. `upstreams` are those, of the form `group.key`, that
    describe an upstream: its fingerprint enters the key. So do the contents of `external_files`,
    and what `external_digests` says of files of which only a part counts.
    """

    name: str
    run: Callable[[StageContext], None]
    inputs: tuple[str, ...] = ()
    config_keys: tuple[str, ...] = ()
    version: int = 1
    reads_references: bool = False
    resumable: bool = False  # finds its own checkpoints in a partial folder
    stands_for: Mapping[str, str] = field(default_factory=dict)  # input, by the name it is read as
    hidden: tuple[str, ...] = ()
    external_files: Callable[[DictConfig], Sequence[Path]] = field(default=lambda _: ())
    external_digests: Callable[[DictConfig, DigestCache], Mapping[str, str]] = field(
        default=lambda _config, _digests: {}
    )
    upstreams: tuple[str, ...] = ()


@dataclass(frozen=True)
class StageContext:
    """What a running stage sees: its folder, its config subtrees, its declared inputs."""

    stage: str
    out: Path
    config: DictConfig
    seed: int
    artifacts: dict[str, Artifact]

    @property
    def num_threads(self) -> int:
        """How many utterances to work on at a time: it changes no result."""
        return self.config.runtime.num_threads or len(os.sched_getaffinity(0))

    @property
    def num_processes(self) -> int:
        """How many share the training of a network: it changes results by rounding alone."""
        return self.config.runtime.processes

    def input(self, name: str) -> Artifact:
        """The payload of an input stage."""
        assert name in self.artifacts, f"stage {self.stage} has not declared its input {name}"
        return self.artifacts[name]


class UnknownStageError(ValueError):
    """A stage was named that the graph does not have."""


class StageFailedError(RuntimeError):
    """A stage could not do its work; the cause says why."""


def _unobserved(_final: Path, _position: int, _num_stages: int) -> AbstractContextManager[None]:
    return nullcontext()


def run_stages(
    stages: Sequence[Stage],
    config: DictConfig,
    root: Path,
    *,
    until: str | None = None,
    force: Sequence[str] = (),
    record: RunRecord | None = None,
    arithmetic: Mapping[str, str] | None = None,
    announce: Callable[[str], None] = log.info,
    observe: Callable[[Path, int, int], AbstractContextManager[None]] = _unobserved,
    wait: bool = False,
) -> dict[str, Path]:
    """Run what is not done yet, under `root` (exp/<recipe>); the folder of each stage by name.

    `force` names stages to run again though they are done; so does all that was made from them.
    Finished stages are checked by size, and by sha256 before a stage reads them. `arithmetic`, how
    this process rounds, is recorded; a run that goes on from another is told so. At its end the run
    becomes the latest of `root`, with its `record`, along with whatever else of the same config was
    done before. `observe` is entered around each stage that runs, with the folder that it will
    have, its position and the number of stages. A stage that another process runs is an error, or
    with `wait` waited for, to be found done. UnknownStageError for an unknown name;
    StageFailedError with the cause when a stage fails.
    """
    _check_seals(stages)
    rounding = _Rounding(arithmetic or {})
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
        identities = {name: _identity(folders[name]) for name in stage.inputs}
        if stage.name not in force and _is_done(final, identities):
            announce(f"{title}: done before")
            continue
        _check_external_files(stage, material)
        for name in stage.inputs:
            if name not in trusted:
                with _damage_reported():
                    check_contents(folders[name])
                trusted.add(name)
        started = time.monotonic()
        with _storage_reported(stage.name, root), _locked(stage.name, final, wait=wait):
            restore(final)
            forced = stage.name in force
            if forced or not _is_done(final, identities):
                # else another process finished it just before the lock
                now = Beginning(identities, rounding.now, forced)
                before = begin(final, now, resumable=stage.resumable)
                rounding.compare(stage, folders, before)
                with observe(final, position, len(wanted)):
                    _run_one(stage, config, final, folders, material, now)
        trusted.add(stage.name)
        announce(f"{title}: {time.monotonic() - started:.1f} s{_place(final)}")
    done = _done(stages, described, root)
    with _storage_reported(wanted[-1].name, root):
        keep_run(root, done, record)
    return folders


class _Rounding:
    """How this process rounds, beside how the stages that it goes on from were made."""

    def __init__(self, now: Mapping[str, str]) -> None:
        self.now = dict(now)
        self._told: set[str] = set()

    def compare(self, stage: Stage, folders: Mapping[str, Path], begun: Mapping[str, str]) -> None:
        """Warn, once for each difference, that bits may depend on where a run went on."""
        made = {name: (read_record(folders[name]) or {}).get("arithmetic") for name in stage.inputs}
        for name, before in {"its own beginning": begun, **made}.items():
            for what, value in (before if isinstance(before, Mapping) else {}).items():
                now = self.now.get(what)
                if now not in (None, value) and what not in self._told:
                    self._told.add(what)
                    log.warning(
                        "stage %s goes on from %s, made with %s %s; this run has %s: its figures "
                        "may differ, by rounding, from those of a run in one piece (which --force "
                        "with its first stage makes)",
                        *(stage.name, name, what, value, now),
                    )


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


def _is_done(final: Path, identities: Mapping[str, str]) -> bool:
    """Whether the stage was run, from these inputs, and is whole."""
    with _damage_reported():
        record = read_record(final)
        if record is None or record.get("input_identities") != identities:
            return False
        check_sizes(final)
    return True


def _done(
    stages: Sequence[Stage], described: Mapping[str, Mapping[str, object]], root: Path
) -> dict[str, Path]:
    """Folders of all stages of the graph that are done, those that a run did not need too."""
    done: dict[str, Path] = {}
    for stage in stages:
        final = root / stage.name / str(described[stage.name]["key"])
        if done.keys() >= set(stage.inputs):
            identities = {name: _identity(done[name]) for name in stage.inputs}
            with suppress(StageFailedError):  # damaged: named by whatever run needs it
                if _is_done(final, identities):
                    done[stage.name] = final
    return done


def _place(folder: Path) -> str:
    """Where a stage computed, if that was not the CPU."""
    ran_on = (read_record(folder) or {}).get("ran_on", "cpu")
    return "" if ran_on == "cpu" else f" on {ran_on}"


def _identity(folder: Path) -> str:
    """Of a finished stage: a new one each time it, or anything it is made from, was forced."""
    with _damage_reported():
        record = read_record(folder)
    assert record is not None, f"{folder} is not finished"
    return str(record["identity"])


def _check_seals(stages: Sequence[Stage]) -> None:
    """Whatever is made from references says so: an assertion about the graph."""
    open_stages = {stage.name for stage in stages if stage.reads_references}
    silent = stages_that_see_references(stages) - open_stages
    assert not silent, f"stages {sorted(silent)} see references and do not declare it"


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
    begun: Beginning,
) -> None:
    """Run a stage in its partial folder and publish it; one that is forced is a new one."""
    partial = partial_folder(final)
    context = StageContext(
        stage=stage.name,
        out=partial,
        config=visible_config(config, stage.config_keys, hidden=stage.hidden),
        seed=int(config.seed),
        artifacts={
            stage.stands_for.get(name, name): Artifact(name, folders[name], stage.reads_references)
            for name in stage.inputs
        },
    )
    started, memory = time.monotonic(), PeakMemory()
    used.forget()
    with logged_to(partial / LOG):
        log.info("stage %s, key %s", stage.name, final.name)
        try:
            stage.run(context)
        except KeyboardInterrupt as error:
            log.info("ended by %s", str(error) or "Ctrl-C")
            raise
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
    outputs = describe_outputs(partial)
    nonce = uuid.uuid4().hex if begun.forced else ""
    identity = json.dumps([outputs, begun.input_identities, nonce], sort_keys=True)
    record = {
        **material,
        "input_identities": begun.input_identities,
        "arithmetic": begun.arithmetic,
        "ran_on": used.device(),
        "identity": hashlib.sha256(identity.encode()).hexdigest()[:16],
        "wall_s": round(time.monotonic() - started, 3),
        "peak_rss_mb": memory.peak_mb(),
        "versions": versions(),
        "runtime": runtime_options(config, stage.config_keys),
        "reads_references": stage.reads_references,
        "outputs": outputs,
    }
    publish(partial, final, record)


@contextmanager
def _locked(name: str, final: Path, *, wait: bool) -> Iterator[None]:
    final.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(final.with_name(f".{final.name}.lock"))
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout as error:
        raise StageFailedError(
            f"stage {name} is being run by another process, which holds {lock.lock_file}; "
            "wait for it to end, or let --wait do so"
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
