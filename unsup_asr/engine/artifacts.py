"""Finished stage folders: what is in them, who made it from what, and whether it is whole.

`exp/<recipe>/<stage>/<key12>/` holds the payload, `log.txt` and `stage.json`, which is written
last: a folder without it is not an artifact. Nothing under `references/` can be opened by a stage
that has not declared that it reads references.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from unsup_asr.formats.digests import digest_files

REFERENCES = "references"
RECORD = "stage.json"
LOG = "log.txt"
BEGUN = "begun.json"  # what a try at the stage was begun from


class ReferencesSealedError(RuntimeError):
    """A stage that must not see references asked for them."""


class DamagedArtifactError(ValueError):
    """A file of a finished stage is missing or not what the stage wrote."""


@dataclass(frozen=True)
class Artifact:
    """The payload of one finished stage, as one of its consumers may see it."""

    stage: str
    _path: Path  # not for consumers: `file` keeps references sealed
    reads_references: bool

    def has(self, relative: str) -> bool:
        """Whether `file` would find it; errors when it is sealed."""
        self._check_seal(relative)
        return (self._path / relative).exists()

    def file(self, relative: str) -> Path:
        """Path of a file or folder in the payload; errors when it is sealed or does not exist."""
        self._check_seal(relative)
        path = self._path / relative
        if not path.exists():
            raise DamagedArtifactError(
                f"{path} does not exist, though stage {self.stage!r} is finished; "
                f"{_remedy(self._path)}"
            )
        return path

    def _check_seal(self, relative: str) -> None:
        parts = Path(relative).parts
        if not self.reads_references and (REFERENCES in parts or ".." in parts):
            raise ReferencesSealedError(
                f"{self.stage}/{relative} is a reference, and this stage has not declared "
                "reads_references; only `evaluate` and the supervised baseline may"
            )


def describe_outputs(folder: Path) -> dict[str, dict[str, object]]:
    """Size and sha256 of every payload file, by path relative to the folder."""
    skipped = {folder / name for name in (RECORD, f"{RECORD}.tmp", LOG, BEGUN)}
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path not in skipped)
    return {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": digest}
        for path, digest in zip(files, digest_files(files), strict=True)
    }


def check_sizes(folder: Path) -> None:
    """DamagedArtifactError when a file of a finished stage is missing or has another size."""
    outputs = _outputs(folder)
    missing = [name for name in outputs if not (folder / name).is_file()]
    if missing:
        raise DamagedArtifactError(
            f"{folder / missing[0]} is missing ({len(missing)} of {len(outputs)} files); "
            f"{_remedy(folder)}"
        )
    for name, facts in outputs.items():
        size = (folder / name).stat().st_size
        if size != facts["bytes"]:
            raise DamagedArtifactError(
                f"{folder / name} is damaged: it has {size} bytes, the stage wrote "
                f"{facts['bytes']}; {_remedy(folder)}"
            )


def check_contents(folder: Path) -> None:
    """DamagedArtifactError when a file of a finished stage is not, bit for bit, as written."""
    check_sizes(folder)
    outputs = _outputs(folder)
    digests = digest_files([folder / name for name in outputs])
    for (name, facts), digest in zip(outputs.items(), digests, strict=True):
        if digest != facts["sha256"]:
            raise DamagedArtifactError(
                f"{folder / name} is damaged: its sha256 begins {digest[:12]}, the stage wrote "
                f"{str(facts['sha256'])[:12]}; {_remedy(folder)}"
            )


def read_record(folder: Path) -> dict[str, object] | None:
    """The content of stage.json, None when the folder is no finished stage."""
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except ValueError as error:
        raise DamagedArtifactError(f"{path} is not JSON ({error}); {_remedy(folder)}") from error


def publish(partial: Path, final: Path, record: Mapping[str, object]) -> None:
    """Write stage.json last, then rename the folder: the stage is done, or not there at all."""
    scratch = partial / f"{RECORD}.tmp"
    # a path may hold bytes that are no UTF-8: `\udce9` is what JSON writes for one
    with scratch.open("w", encoding="utf-8", errors="backslashreplace") as stream:
        json.dump(record, stream, indent=1, ensure_ascii=False)
        stream.flush()
        os.fsync(stream.fileno())
    scratch.rename(partial / RECORD)
    sync_tree(partial)
    replaced = _replaced(final)
    shutil.rmtree(replaced, ignore_errors=True)
    if final.exists():  # made again, or without its record no artifact
        final.rename(replaced)
    partial.rename(final)
    _sync_folder(final.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def restore(final: Path) -> None:
    """Put back what a `publish` that was killed between its two renames had put aside."""
    if _replaced(final).exists() and not final.exists():
        _replaced(final).rename(final)


def _replaced(final: Path) -> Path:
    return final.with_name(f"{final.name}.replaced")


def _outputs(folder: Path) -> Mapping[str, Mapping[str, object]]:
    record = read_record(folder)
    outputs = record.get("outputs") if record is not None else None
    if not isinstance(outputs, dict):
        raise DamagedArtifactError(f"{folder / RECORD} lists no outputs; {_remedy(folder)}")
    return outputs


def _remedy(folder: Path) -> str:
    return f"run again with --force {folder.parent.name}, or delete {folder} and run again"


def sync_tree(folder: Path) -> None:
    """Make the content of a folder survive a power cut, before it is renamed into its place."""
    for path in folder.rglob("*"):
        _sync_folder(path)
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    """Make renames inside a folder, or what a file holds, survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
