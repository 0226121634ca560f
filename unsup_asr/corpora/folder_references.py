"""The tables a user brings: what was said, in words or phones; who speaks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unsup_asr.formats.lines import numbered_lines
from unsup_asr.formats.names import id_of
from unsup_asr.types import Seconds

KINDS = ("words", "phones")
_TIMES = ("start_s", "end_s")


@dataclass(frozen=True)
class Stretch:
    """What was said in a recording from `start_s` to `end_s`; `line` is the table's."""

    start_s: Seconds
    end_s: Seconds
    tokens: tuple[str, ...]
    line: int


@dataclass(frozen=True)
class References:
    """Words or phones by utterance id, and speakers where the file names them.

    `stretches`, by recording, where the table has times: then `tokens` are those of all of it.
    """

    kind: str
    tokens: dict[str, tuple[str, ...]]
    speakers: dict[str, str]
    stretches: dict[str, list[Stretch]] = field(default_factory=dict)


def read_references(path: Path, *, kind: str) -> References:
    """References of one kind; ValueError with the line for anything malformed."""
    if kind not in KINDS:
        raise ValueError(f"reference_kind is {kind!r}; expected one of {', '.join(KINDS)}")
    tokens: dict[str, tuple[str, ...]] = {}
    speakers: dict[str, str] = {}
    stretches: dict[str, list[Stretch]] = {}
    for number, row in _rows(path, ("utterance_id", kind)):
        key, said = row["utterance_id"], tuple(row[kind].split())
        if not said:
            raise ValueError(f"{path}:{number}: utterance {key!r} has no {kind}; remove the line")
        if any(name in row for name in _TIMES):
            stretches.setdefault(key, []).append(_stretch(path, number, row, said))
        elif key in tokens:
            raise ValueError(
                f"{path}:{number}: utterance {key!r} again; ids must be unique, where no columns "
                f"{' and '.join(_TIMES)} say which part of a recording a line is of"
            )
        tokens[key] = tokens.get(key, ()) + said
        if row.get("speaker"):
            speakers[key] = row["speaker"]
    if not tokens:
        raise ValueError(f"{path}: a header and no references; expected one utterance a line")
    return References(kind, tokens, speakers, stretches)


def _stretch(path: Path, number: int, row: dict[str, str], said: tuple[str, ...]) -> Stretch:
    start_s, end_s = (_seconds(row.get(name, "")) for name in _TIMES)
    if not 0 <= start_s < end_s < math.inf:
        times = ", ".join(f"{name} {row.get(name, 'missing')!r}" for name in _TIMES)
        raise ValueError(
            f"{path}:{number}: {times}; expected both, in seconds from the recording's beginning, "
            "the first below the second"
        )
    return Stretch(start_s, end_s, said, number)


def _seconds(text: str) -> Seconds:
    try:
        return float(text)
    except ValueError:
        return math.nan


def read_speakers(path: Path) -> dict[str, str]:
    """Speakers by utterance id, sorted; ValueError with the line for anything malformed."""
    speakers: dict[str, str] = {}
    for number, row in _rows(path, ("utterance_id", "speaker")):
        key, speaker = row["utterance_id"], id_of(row["speaker"])
        if not speaker or speakers.get(key, speaker) != speaker:
            raise ValueError(
                f"{path}:{number}: utterance {key!r} has the speaker {speaker!r}"
                f"{', before ' + repr(speakers[key]) if key in speakers else ''}; expected one name"
            )
        speakers[key] = speaker
    return dict(sorted(speakers.items()))


def _rows(path: Path, needed: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column, of a table with these columns at least."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected a TSV with {' and '.join(needed)}")
    lines = numbered_lines(path)
    columns = next(lines, (1, ""))[1].split("\t")
    for column in needed:
        if column not in columns:
            raise ValueError(
                f"{path}:1: no column {column!r} in the header {columns}; expected the "
                f"tab-separated columns {' and '.join(needed)}"
            )
    for number, line in lines:
        if not line.strip():
            continue
        values = line.split("\t")
        if len(values) != len(columns):
            raise ValueError(
                f"{path}:{number}: {len(values)} columns; the header has {len(columns)}"
            )
        row = dict(zip(columns, values, strict=True))
        yield number, row | {"utterance_id": id_of(row["utterance_id"])}
