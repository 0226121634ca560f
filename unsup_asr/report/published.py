"""Published error rates, each with its source and how it was scored, from `published.tsv`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from unsup_asr.formats.lines import numbered_lines

PUBLISHED_PATH = Path(__file__).parent / "published.tsv"

MEASURES = ("PER", "WER")
DECODINGS = ("no LM", "phone LM", "words", "unknown")
SILENCE = ("counted", "not counted", "unknown")


@dataclass(frozen=True, kw_only=True)
class PublishedResult:
    """One published figure in percent: what was scored how, and where the number stands.

    `is_read` is False where it was written down from memory and not checked against its source.
    """

    system: str
    measure: str
    rate: float
    corpus: str
    scored_on: str
    phones: str
    silence: str
    decoding: str
    is_supervised: bool
    is_read: bool
    source: str


def published_corpora() -> list[str]:
    """Names of the corpora that there are figures of."""
    return list(dict.fromkeys(result.corpus for result in published_results()))


def published_of(corpus: str) -> tuple[PublishedResult, ...]:
    """The figures on one corpus, or with 'all' on each; ValueError for a corpus without any."""
    if corpus == "all":
        return published_results()
    found = tuple(result for result in published_results() if result.corpus == corpus)
    if not found:
        raise ValueError(
            f"no published results on {corpus!r}; expected one of "
            f"{', '.join([*published_corpora(), 'all'])}"
        )
    return found


@cache
def published_results(path: Path = PUBLISHED_PATH) -> tuple[PublishedResult, ...]:
    """All figures in the order of the file; ValueError with the line for anything malformed."""
    lines = [
        (number, line.split("\t"))
        for number, line in numbered_lines(path)
        if line.strip() and not line.startswith("#")
    ]
    (_, header), *rows = lines
    return tuple(_result(header, row, f"{path}:{number}") for number, row in rows)


def _result(header: list[str], row: list[str], where: str) -> PublishedResult:
    if len(row) != len(header) or not all(cell.strip() for cell in row):
        raise ValueError(f"{where}: {len(row)} cells; expected {', '.join(header)}, none empty")
    cells = dict(zip(header, row, strict=True))
    training = _one_of(cells.pop("training"), ("supervised", "unsupervised"), where)
    read = _one_of(cells.pop("read"), ("read", "memory"), where)
    _one_of(cells["measure"], MEASURES, where)
    _one_of(cells["silence"], SILENCE, where)
    _one_of(cells["decoding"], DECODINGS, where)
    try:
        rate = float(cells.pop("rate"))
    except ValueError as error:
        raise ValueError(f"{where}: {error}; expected a rate in percent") from error
    return PublishedResult(
        **cells, rate=rate, is_supervised=training == "supervised", is_read=read == "read"
    )


def _one_of(value: str, allowed: tuple[str, ...], where: str) -> str:
    if value not in allowed:
        raise ValueError(f"{where}: {value!r}; expected one of {', '.join(allowed)}")
    return value
