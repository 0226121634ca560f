"""JSONL manifests: one `Utterance` a line, audio paths relative to the manifest or absolute.

In ASCII, with escapes: a path may have any character, or bytes that are no character at all.
`channel` stands there only where one is heard alone, `start_s` where an utterance is a part of the
recording.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

from unsup_asr.formats.checked import reading
from unsup_asr.types import Utterance

_FIELDS = {field.name for field in fields(Utterance)}
_OPTIONAL = {"channel", "start_s"}


def write_manifest(path: Path, utterances: Sequence[Utterance]) -> None:
    """Write utterances; audio below the manifest's folder is written relative to it."""
    if not utterances:
        raise ValueError(f"{path}: 0 utterances to write; a manifest needs at least one")
    folder = path.parent.resolve()
    seen: set[str] = set()
    lines = []
    for utterance in utterances:
        if utterance.id in seen:
            raise ValueError(f"{path}: utterance id {utterance.id!r} twice; ids must be unique")
        seen.add(utterance.id)
        audio = Path(utterance.audio)
        if audio.is_absolute() and audio.is_relative_to(folder):
            utterance = replace(utterance, audio=audio.relative_to(folder).as_posix())
        record = {name: value for name, value in asdict(utterance).items() if value is not None}
        lines.append(json.dumps(record))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", "utf-8")


def read_manifest(path: Path) -> list[Utterance]:
    """Utterances with absolute audio paths, all present; ValueError names the line."""
    if not path.is_file():
        raise ValueError(f"{path}: no such manifest; run the stage that prepares the corpus")
    first_line: dict[str, int] = {}
    utterances = []
    with reading(path, "a manifest"):
        lines = path.read_text("utf-8").split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        utterance = _parse(line, f"{path}:{number}")
        if utterance.id in first_line:
            raise ValueError(
                f"{path}:{number}: utterance id {utterance.id!r} again (first on line "
                f"{first_line[utterance.id]}); ids must be unique"
            )
        first_line[utterance.id] = number
        with reading(Path(f"{path}:{number}"), "a path to audio"):
            audio = (path.parent / utterance.audio).resolve()
            is_there = audio.is_file()
        if not is_there:
            raise ValueError(
                f"{path}:{number}: audio of utterance {utterance.id!r} is missing: {audio}. "
                "Restore the file, or prepare the corpus again"
            )
        utterances.append(replace(utterance, audio=str(audio)))
    if not utterances:
        raise ValueError(f"{path}: 0 utterances; a manifest needs at least one")
    return utterances


def _parse(line: str, where: str) -> Utterance:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: not JSON ({error.msg}, column {error.colno})") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: not JSON ({error})") from error
    if not isinstance(record, dict) or set(record) | _OPTIONAL != _FIELDS:
        found = sorted(record) if isinstance(record, dict) else type(record).__name__
        raise ValueError(
            f"{where}: found {found}; expected the keys {sorted(_FIELDS - _OPTIONAL)}, or with "
            f"{sorted(_OPTIONAL)}"
        )
    kinds = {"duration_s": (int, float), "start_s": (int, float), "channel": int}
    for name, value in record.items():
        kind = kinds.get(name, str)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(f"{where}: {name} is {value!r}; expected {_name(kind)}")
    try:
        return Utterance(**record)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _name(kind: type | tuple[type, ...]) -> str:
    return "a string" if kind is str else "a number"
