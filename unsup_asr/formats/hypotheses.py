"""References and hypotheses as TSV files with a header, one utterance a line.

Values inside a column are separated by spaces; `starts_s` and `ends_s` may be empty, as may
`confidences`. Word references have the columns `utterance_id` and `words`, recognised words the
same and times and confidences.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from unsup_asr.formats.lines import numbered_lines
from unsup_asr.formats.whole import whole
from unsup_asr.types import Hypothesis, Transcript, WordHypothesis

TRANSCRIPT_COLUMNS = ("utterance_id", "phones", "starts_s", "ends_s")
HYPOTHESIS_COLUMNS = (*TRANSCRIPT_COLUMNS, "confidences")
WORD_COLUMNS = ("utterance_id", "words")
WORD_HYPOTHESIS_COLUMNS = (*WORD_COLUMNS, *HYPOTHESIS_COLUMNS[2:])


def write_transcripts(path: Path, transcripts: Iterable[Transcript]) -> None:
    """Write references; ValueError for a repeated id."""
    _write(
        path,
        TRANSCRIPT_COLUMNS,
        ((t.utterance_id, " ".join(t.phones), _times(t.starts_s), _times(t.ends_s))
         for t in transcripts),
    )  # fmt: skip


def read_transcripts(path: Path) -> list[Transcript]:
    """References in the order of the file; ValueError with the line for anything malformed."""
    return [
        _located(path, number, Transcript, row[0], tuple(row[1].split()),
                 _floats(path, number, "starts_s", row[2]), _floats(path, number, "ends_s", row[3]))
        for number, row in _rows(path, TRANSCRIPT_COLUMNS)
    ]  # fmt: skip


def write_hypotheses(path: Path, hypotheses: Iterable[Hypothesis]) -> None:
    """Write recognised phones; ValueError for a repeated id."""
    _write(
        path,
        HYPOTHESIS_COLUMNS,
        ((h.utterance_id, " ".join(h.phones), _times(h.starts_s), _times(h.ends_s),
          _times(h.confidences)) for h in hypotheses),
    )  # fmt: skip


def read_hypotheses(path: Path) -> list[Hypothesis]:
    """Hypotheses in the order of the file; ValueError with the line for anything malformed."""
    return [Hypothesis(*values) for values in _timed_rows(path, HYPOTHESIS_COLUMNS)]


def write_word_hypotheses(path: Path, hypotheses: Iterable[WordHypothesis]) -> None:
    """Write recognised words; ValueError for a repeated id."""
    _write(
        path,
        WORD_HYPOTHESIS_COLUMNS,
        ((h.utterance_id, " ".join(h.words), _times(h.starts_s), _times(h.ends_s),
          _times(h.confidences)) for h in hypotheses),
    )  # fmt: skip


def read_word_hypotheses(path: Path) -> list[WordHypothesis]:
    """Words in the order of the file; ValueError with the line for anything malformed."""
    return [WordHypothesis(*values) for values in _timed_rows(path, WORD_HYPOTHESIS_COLUMNS)]


def write_words(path: Path, words: Mapping[str, Sequence[str]]) -> None:
    """Write word references, by utterance id."""
    _write(path, WORD_COLUMNS, ((key, " ".join(value)) for key, value in words.items()))


def read_words(path: Path) -> dict[str, tuple[str, ...]]:
    """Words by utterance id, in the order of the file."""
    return {row[0]: tuple(row[1].split()) for _, row in _rows(path, WORD_COLUMNS)}


_Timed = tuple[str, tuple[str, ...], tuple[float, ...], tuple[float, ...], tuple[float, ...]]


def _timed_rows(path: Path, columns: Sequence[str]) -> Iterator[_Timed]:
    """Id, tokens, starts, ends, confidences of each line."""
    for number, row in _rows(path, columns):
        tokens = tuple(row[1].split())
        values = [
            _floats(path, number, column, text)
            for column, text in zip(columns[2:], row[2:], strict=True)
        ]
        for column, value in zip(columns[2:], values, strict=True):
            if value and len(value) != len(tokens):
                raise ValueError(
                    f"{path}:{number}: utterance {row[0]!r} has {len(tokens)} {columns[1]} and "
                    f"{len(value)} {column}; expected one a {columns[1][:-1]}, or none"
                )
        yield row[0], tokens, values[0], values[1], values[2]


def _located(path: Path, number: int, make: type[Transcript], *values: object) -> Transcript:
    try:
        return make(*values)  # type: ignore[arg-type]
    except ValueError as error:
        raise ValueError(f"{path}:{number}: {error}") from error


def _times(values: Sequence[float]) -> str:
    """To the microsecond, whatever the length of the audio; confidences alike."""
    return " ".join(f"{value:.6f}".rstrip("0").rstrip(".") for value in values)


def _floats(path: Path, number: int, column: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(value) for value in text.split())
    except ValueError as error:
        raise ValueError(
            f"{path}:{number}: column {column} holds {text!r}; expected numbers separated by spaces"
        ) from error


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows are written as they come; an error leaves the file as it was."""
    seen: set[str] = set()
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as scratch, scratch.open("w", encoding="utf-8") as lines:
        lines.write("\t".join(columns) + "\n")
        for row in rows:
            if row[0] in seen:
                raise ValueError(f"{path}: utterance {row[0]!r} twice; ids must be unique")
            if any("\t" in value or "\n" in value for value in row):
                raise ValueError(f"{path}: utterance {row[0]!r} has a tab or line break in a value")
            seen.add(row[0])
            lines.write("\t".join(row) + "\n")


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """(line number, values) of every line after the header."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected a TSV with columns {', '.join(columns)}")
    lines = numbered_lines(path)
    _, header = next(lines, (1, ""))
    if header.split("\t") != list(columns):
        raise ValueError(
            f"{path}:1: header is {header!r}; expected the tab-separated columns "
            f"{', '.join(columns)}"
        )
    first_line: dict[str, int] = {}
    for number, line in lines:
        if not line:
            continue
        row = line.split("\t")
        if len(row) != len(columns):
            raise ValueError(
                f"{path}:{number}: {len(row)} columns; expected {len(columns)} "
                f"({', '.join(columns)}), separated by tabs"
            )
        if row[0] in first_line:
            raise ValueError(
                f"{path}:{number}: utterance {row[0]!r} again (first on line "
                f"{first_line[row[0]]}); ids must be unique"
            )
        first_line[row[0]] = number
        yield number, row
