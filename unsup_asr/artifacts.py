"""Finished stage folders: what is in them, who made it from what, and whether it is whole.

`exp/<recipe>/<stage>/<key12>/` holds the payload, `log.txt` and `stage.json`, which is written
last: a folder without it is not an artifact. Nothing under `references/` can be opened by a stage
that has not declared that it reads references.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

REFERENCES = "references"
RECORD = "stage.json"


class ReferencesSealedError(RuntimeError):
    """A stage that must not see references asked for them."""


class DamagedArtifactError(ValueError):
    """A file of a finished stage is missing or not what the stage wrote."""


@dataclass(frozen=True)
class Artifact:
    """The payload of one finished stage, as one of its consumers may see it."""

    stage: str
    path: Path
    reads_references: bool
    record: Mapping[str, object] = field(repr=False, default_factory=dict)

    def file(self, relative: str) -> Path:
        """Path of a file in the payload; errors when it is sealed or does not exist."""
        if Path(relative).parts[0] == REFERENCES and not self.reads_references:
            raise ReferencesSealedError(
                f"{self.stage}/{relative} is a reference, and this stage has not declared "
                "reads_references; only `evaluate` and the supervised baseline may"
            )
        path = self.path / relative
        if not path.exists():
            raise DamagedArtifactError(
                f"{path} does not exist, though stage {self.stage!r} is finished; delete "
                f"{self.path} and run again"
            )
        return path


def digest_file(path: Path) -> str:
    """sha256 of the content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def describe_outputs(folder: Path) -> dict[str, dict[str, object]]:
    """Size and sha256 of every payload file, by path relative to the folder."""
    files = [path for path in _payload(folder)]
    with ThreadPoolExecutor() as pool:
        digests = list(pool.map(digest_file, files))
    return {
        str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": digest}
        for path, digest in zip(files, digests, strict=True)
    }


def check_outputs(folder: Path, outputs: Mapping[str, Mapping[str, object]]) -> None:
    """Raise DamagedArtifactError for the first file that is missing or changed."""
    names = list(outputs)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise DamagedArtifactError(
            f"{folder / missing[0]} is missing ({len(missing)} of {len(names)} files); delete "
            f"{folder} and run again"
        )
    with ThreadPoolExecutor() as pool:
        digests = list(pool.map(lambda name: digest_file(folder / name), names))
    for name, digest in zip(names, digests, strict=True):
        if digest != outputs[name]["sha256"]:
            raise DamagedArtifactError(
                f"{folder / name} is damaged: its sha256 begins {digest[:12]}, the stage wrote "
                f"{str(outputs[name]['sha256'])[:12]}; delete {folder} and run again"
            )


def read_record(folder: Path) -> dict[str, object] | None:
    """The content of stage.json, None when the folder is no finished stage."""
    path = folder / RECORD
    if not path.is_file():
        return None
    return dict(json.loads(path.read_text("utf-8")))


def publish(partial: Path, final: Path, record: Mapping[str, object]) -> None:
    """Write stage.json last, then rename the folder: the stage is done, or not there at all."""
    scratch = partial / f"{RECORD}.tmp"
    with scratch.open("w", encoding="utf-8") as stream:
        json.dump(record, stream, indent=1, ensure_ascii=False)
        stream.flush()
        os.fsync(stream.fileno())
    scratch.rename(partial / RECORD)
    if final.exists():  # without its record it is no artifact
        shutil.rmtree(final)
    partial.rename(final)
    link_latest(final)


def link_latest(final: Path) -> None:
    """Make `latest/<stage>` point at a finished stage: what reports read."""
    latest = final.parent.parent / "latest" / final.parent.name
    latest.parent.mkdir(parents=True, exist_ok=True)
    link = latest.with_name(f".{latest.name}.tmp")
    link.unlink(missing_ok=True)
    link.symlink_to(Path("..") / final.parent.name / final.name)
    link.replace(latest)


def _payload(folder: Path) -> list[Path]:
    skipped = {RECORD, f"{RECORD}.tmp", "log.txt"}
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in skipped)
