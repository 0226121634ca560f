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

from unsup_asr.formats.finished import RECORD, DamagedArtifactError, remedy

REFERENCES = "references"


class ReferencesSealedError(RuntimeError):
    """A stage that must not see references asked for them."""


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
                f"{remedy(self._path)}"
            )
        return path

    def _check_seal(self, relative: str) -> None:
        parts = Path(relative).parts
        if not self.reads_references and (REFERENCES in parts or ".." in parts):
            raise ReferencesSealedError(
                f"{self.stage}/{relative} is a reference, and this stage has not declared "
                "reads_references; only `evaluate` and the supervised baseline may"
            )


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
