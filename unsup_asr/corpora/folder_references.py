"""The references a user brings: TSV with a header, words or phones, speakers if known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

KINDS = ("words", "phones")


@dataclass(frozen=True)
class References:
    """Words or phones by utterance id, and speakers where the file names them."""

    kind: str
    tokens: dict[str, tuple[str, ...]]
    speakers: dict[str, str]


def read_references(path: Path, *, kind: str) -> References:
    """References of one kind; ValueError with the line for anything malformed."""
    if kind not in KINDS:
        raise ValueError(f"reference_kind is {kind!r}; expected one of {', '.join(KINDS)}")
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected a TSV with utterance_id and {kind}")
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 (byte {error.start}); convert the file") from error
    columns = lines[0].split("\t") if lines else []
    for column in ("utterance_id", kind):
        if column not in columns:
            raise ValueError(
                f"{path}:1: no column {column!r} in the header {columns}; expected the "
                f"tab-separated columns utterance_id, {kind} and optionally speaker"
            )
    tokens: dict[str, tuple[str, ...]] = {}
    speakers: dict[str, str] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        values = line.split("\t")
        if len(values) != len(columns):
            raise ValueError(
                f"{path}:{number}: {len(values)} columns; the header has {len(columns)}"
            )
        row = dict(zip(columns, values, strict=True))
        key = row["utterance_id"]
        if key in tokens:
            raise ValueError(f"{path}:{number}: utterance {key!r} again; ids must be unique")
        tokens[key] = tuple(row[kind].split())
        if not tokens[key]:
            raise ValueError(f"{path}:{number}: utterance {key!r} has no {kind}; remove the line")
        if row.get("speaker"):
            speakers[key] = row["speaker"]
    if not tokens:
        raise ValueError(f"{path}: a header and no references; expected one utterance a line")
    return References(kind, tokens, speakers)
