"""Folders of finished stages: `stage.json` lists the size and sha256 of every file in them.

Whoever reads what a stage has written can ask whether it is still that, `report` and `transcribe`
too, which know nothing of stages otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from unsup_asr.formats.digests import digest_file, digest_files

RECORD = "stage.json"
LOG = "log.txt"
BEGUN = "begun.json"  # what a try at the stage was begun from


class DamagedArtifactError(ValueError):
    """A file of a finished stage is missing or not what the stage wrote."""


def describe_outputs(folder: Path) -> dict[str, dict[str, object]]:
    """Size and sha256 of every payload file, by path relative to the folder."""
    skipped = {folder / name for name in (RECORD, f"{RECORD}.tmp", LOG, BEGUN)}
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path not in skipped)
    return {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": digest}
        for path, digest in zip(files, digest_files(files), strict=True)
    }


def read_record(folder: Path) -> dict[str, object] | None:
    """The content of stage.json, None when the folder is no finished stage."""
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError, RecursionError) as error:
        raise DamagedArtifactError(f"{path} is not JSON ({error}); {remedy(folder)}") from error


def newest_finished(stage: Path) -> Path | None:
    """Of the folders of a stage, by key, the one that was finished last; None without any.

    Others may be writing them: one that is gone meanwhile, as when it gets its name, is none.
    """
    found: list[tuple[int, Path]] = []
    for record in stage.glob(f"*/{RECORD}"):
        with suppress(FileNotFoundError):
            found.append((record.stat().st_mtime_ns, record.parent))
    return max(found)[1] if found else None


def check_sizes(folder: Path) -> None:
    """DamagedArtifactError when a file of a finished stage is missing or has another size."""
    _check_sizes(folder, _outputs(folder))


def check_contents(folder: Path) -> None:
    """DamagedArtifactError when a file of a finished stage is not, bit for bit, as written."""
    _check_contents(folder, _outputs(folder))


def check_written(path: Path) -> None:
    """DamagedArtifactError when a file or folder that a stage wrote is not, bit for bit, as
    written. Of what no stage wrote nothing is known.
    """
    wanted = path.resolve()
    for folder in (wanted, *wanted.parents):
        record = read_record(folder)
        if record is not None and "outputs" in record:
            outputs = _outputs(folder)
            below = {n: facts for n, facts in outputs.items() if _is_in(folder / n, wanted)}
            _check_contents(folder, below)
            return


def as_written(path: Path) -> Path:
    """The path, after `check_written`."""
    check_written(path)
    return path


def check_digests(folder: Path, digests: Mapping[str, str]) -> None:
    """ValueError when a file of the folder, by its name, is missing or has another sha256."""
    for name, digest in digests.items():
        path = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ValueError(f"{folder}: a file named {name!r}; expected names in the folder")
        if not path.is_file():
            raise ValueError(f"{path} is missing; copy the whole folder again")
        if digest_file(path) != digest:
            raise ValueError(
                f"{path} is not the file that belongs to this folder: its sha256 is not "
                f"{str(digest)[:12]}...; copy it again"
            )


def remedy(folder: Path) -> str:
    """What to do about a damaged stage folder, in its place or a copy of it."""
    folder = folder.resolve()  # `latest/<stage>` is a link
    try:
        record = json.loads((folder / RECORD).read_text("utf-8"))
        is_copy = record.get("key", folder.name) != folder.name
    except (OSError, ValueError, AttributeError, RecursionError):
        is_copy = False
    if is_copy:
        return "copy the folder again from where it was made"
    return f"run again with --force {folder.parent.name}, or delete {folder} and run again"


def _check_sizes(folder: Path, outputs: Mapping[str, Mapping[str, object]]) -> None:
    missing = [name for name in outputs if not (folder / name).is_file()]
    if missing:
        raise DamagedArtifactError(
            f"{folder / missing[0]} is missing ({len(missing)} of {len(outputs)} files); "
            f"{remedy(folder)}"
        )
    for name, facts in outputs.items():
        size = (folder / name).stat().st_size
        if size != facts["bytes"]:
            raise DamagedArtifactError(
                f"{folder / name} is damaged: it has {size} bytes, the stage wrote "
                f"{facts['bytes']}; {remedy(folder)}"
            )


def _check_contents(folder: Path, outputs: Mapping[str, Mapping[str, object]]) -> None:
    _check_sizes(folder, outputs)
    digests = digest_files([folder / name for name in outputs])
    for (name, facts), digest in zip(outputs.items(), digests, strict=True):
        if digest != facts["sha256"]:
            raise DamagedArtifactError(
                f"{folder / name} is damaged: its sha256 begins {digest[:12]}, the stage wrote "
                f"{str(facts['sha256'])[:12]}; {remedy(folder)}"
            )


def _outputs(folder: Path) -> Mapping[str, Mapping[str, object]]:
    record = read_record(folder)
    outputs = record.get("outputs") if record is not None else None
    if not isinstance(outputs, dict) or not all(
        isinstance(facts, dict) and {"bytes", "sha256"} <= facts.keys()
        for facts in outputs.values()
    ):
        raise DamagedArtifactError(f"{folder / RECORD} lists no outputs; {remedy(folder)}")
    return outputs


def _is_in(file: Path, wanted: Path) -> bool:
    return file == wanted or wanted in file.parents
