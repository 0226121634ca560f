"""Stages with content keys: what a run does, in which order, and what it may skip.

The key of a stage is the sha256 of its name, version, own config subtrees, seed, the keys of its
inputs and the digests of the user's files it reads. So a changed option runs again exactly what
depends on it, and a run that was killed goes on where it was.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import resource
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from unsup_asr.artifacts import (
    Artifact,
    check_outputs,
    describe_outputs,
    link_latest,
    publish,
    read_record,
)

log = logging.getLogger(__name__)

_PACKAGES = ("torch", "torchaudio", "faiss-gpu", "kenlm", "phonemizer", "espeakng-loader", "numpy")


@dataclass(frozen=True)
class Stage:
    """One step of the pipeline. `config_keys` are the top-level config subtrees that it reads."""

    name: str
    run: Callable[[StageContext], None]
    inputs: tuple[str, ...] = ()
    config_keys: tuple[str, ...] = ()
    version: int = 1
    reads_references: bool = False
    resumable: bool = False  # finds its own checkpoints in a partial folder
    external_files: Callable[[DictConfig], Sequence[Path]] = field(default=lambda _: ())


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


class StageFailedError(RuntimeError):
    """A stage could not do its work; the cause says why."""


def stage_keys(stages: Sequence[Stage], config: DictConfig) -> dict[str, dict[str, object]]:
    """Key and the material it is made of, by stage name; stages must be in order."""
    described: dict[str, dict[str, object]] = {}
    for stage in stages:
        unknown = [name for name in stage.inputs if name not in described]
        assert not unknown, f"stage {stage.name} needs {unknown}, which do not come before it"
        subtrees = {key: _plain(config, key) for key in stage.config_keys}
        material: dict[str, object] = {
            "stage": stage.name,
            "version": stage.version,
            "seed": int(config.seed),
            "config": subtrees,
            "inputs": {name: described[name]["key"] for name in stage.inputs},
            "external": {str(p): _fingerprint(p) for p in stage.external_files(config)},
        }
        text = json.dumps(material, sort_keys=True, ensure_ascii=False)
        described[stage.name] = {
            "key": hashlib.sha256(text.encode()).hexdigest()[:12],
            **material,
        }
    return described


def run_stages(
    stages: Sequence[Stage],
    config: DictConfig,
    root: Path,
    *,
    until: str | None = None,
    force: Sequence[str] = (),
    announce: Callable[[str], None] = log.info,
) -> dict[str, Path]:
    """Run what is not done yet; the folder of each stage by name.

    ValueError for an unknown stage name; StageFailedError with the cause when a stage fails.
    """
    names = [stage.name for stage in stages]
    for name in [*force, *([until] if until else [])]:
        if name not in names:
            raise ValueError(f"no stage named {name!r}; the stages are: {', '.join(names)}")
    described = stage_keys(stages, config)
    wanted = list(stages) if until is None else _needed_for(stages, until)
    folders: dict[str, Path] = {}
    checked: set[str] = set()
    for position, stage in enumerate(wanted, start=1):
        key = str(described[stage.name]["key"])
        final = root / stage.name / key
        folders[stage.name] = final
        title = f"[{position}/{len(wanted)}] {stage.name}"
        if stage.name in force and final.exists():
            shutil.rmtree(final)
        if read_record(final) is not None:
            link_latest(final)
            announce(f"{title}: done before")
            continue
        for name in stage.inputs:
            if name not in checked:
                _check_input(folders[name])
                checked.add(name)
        seconds = _run_one(stage, config, final, folders, described[stage.name])
        checked.add(stage.name)
        announce(f"{title}: {seconds:.1f} s")
    _unlink_unknown(root / "latest", names)
    return folders


def _run_one(
    stage: Stage,
    config: DictConfig,
    final: Path,
    folders: dict[str, Path],
    material: dict[str, object],
) -> float:
    partial = final.with_name(f"{final.name}.partial")
    final.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(final.with_name(f".{final.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise StageFailedError(
            f"stage {stage.name} is being run by another process (lock {lock.lock_file})"
        ) from error
    with lock:
        if read_record(final) is not None:  # by another process, since we looked
            return 0.0
        if partial.exists() and not stage.resumable:
            shutil.rmtree(partial)
        partial.mkdir(exist_ok=True)
        context = StageContext(
            stage=stage.name,
            out=partial,
            config=_visible_config(config, stage.config_keys),
            seed=int(config.seed),
            artifacts={
                name: Artifact(name, folders[name], stage.reads_references) for name in stage.inputs
            },
        )
        started = time.monotonic()
        with _logged_to(partial / "log.txt"):
            log.info("stage %s, key %s", stage.name, final.name)
            try:
                stage.run(context)
            except (ValueError, OSError) as error:
                log.exception("failed")
                raise StageFailedError(f"stage {stage.name}: {error}") from error
            except Exception:
                log.exception("failed")
                raise
        seconds = time.monotonic() - started
        record = {
            **material,
            "wall_s": round(seconds, 3),
            "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
            "versions": _versions(),
            "reads_references": stage.reads_references,
            "outputs": describe_outputs(partial),
        }
        publish(partial, final, record)
    return seconds


def _check_input(folder: Path) -> None:
    record = read_record(folder)
    assert record is not None
    outputs = record["outputs"]
    assert isinstance(outputs, dict)
    try:
        check_outputs(folder, outputs)
    except ValueError as error:
        raise StageFailedError(str(error)) from error


def _unlink_unknown(latest: Path, names: Sequence[str]) -> None:
    """Take away links to stages that the graph no longer has: reports read all links."""
    for link in latest.iterdir():
        if link.is_symlink() and link.name not in names:
            link.unlink()


def _needed_for(stages: Sequence[Stage], until: str) -> list[Stage]:
    needed = {until}
    for stage in reversed(stages):
        if stage.name in needed:
            needed |= set(stage.inputs)
    return [stage for stage in stages if stage.name in needed]


def _visible_config(config: DictConfig, keys: Sequence[str]) -> DictConfig:
    shown = {key: _plain(config, key) for key in keys}
    visible = OmegaConf.create(shown)
    OmegaConf.set_struct(visible, True)
    return visible


def _plain(config: DictConfig, key: str) -> object:
    node = config[key]
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def _fingerprint(path: Path) -> str:
    """A digest of a file's content, or of the names, sizes and times of all files in a folder."""
    if path.is_file():
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    listing = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        facts = file.stat()
        line = f"{file.relative_to(path)}\t{facts.st_size}\t{facts.st_mtime_ns}\n"
        listing.update(line.encode())
    return listing.hexdigest()


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


class _StageLog(logging.FileHandler):
    """A log file whose own trouble (a full disk) leaves no traceback: the stage reports it."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Say nothing."""


@contextmanager
def _logged_to(path: Path) -> Iterator[None]:
    """Copy the package's log records into a file while the stage runs."""
    handler = _StageLog(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in ("unsup_asr", "segmentation", "gan", "lm")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
        handler.close()
