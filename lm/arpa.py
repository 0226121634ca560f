"""ARPA files: the model in memory, writing it deterministically, reading it back."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unsup_asr.formats.lines import numbered_lines
from unsup_asr.formats.whole import whole
from unsup_asr.types import Int32Array

_ROWS_A_CHUNK = 1 << 18
_GRAMS = re.compile(r"\\([1-9]\d?)-grams:")


@dataclass(frozen=True)
class ArpaOrder:
    """N-grams of one order: word ids (rows, order), log10 probabilities and back-off weights."""

    words: Int32Array
    log10_probability: NDArray[np.float64]
    log10_backoff: NDArray[np.float64]


@dataclass(frozen=True)
class ArpaModel:
    """An n-gram model; `orders[k - 1]` holds the n-grams of order k."""

    vocabulary: list[str]
    orders: list[ArpaOrder]

    def table(self, order: int) -> dict[tuple[str, ...], tuple[float, float]]:
        """Words to (log10 probability, log10 back-off) of one order; for small models."""
        values = self.orders[order - 1]
        return {
            tuple(self.vocabulary[i] for i in words): (float(p), float(b))
            for words, p, b in zip(
                values.words, values.log10_probability, values.log10_backoff, strict=True
            )
        }


def write_arpa(path: Path, model: ArpaModel) -> None:
    """Write the model, whole or not at all."""
    with whole(path) as scratch, scratch.open("w", encoding="utf-8", newline="\n") as out:
        out.write("\\data\\\n")
        for order, values in enumerate(model.orders, 1):
            out.write(f"ngram {order}={len(values.words)}\n")
        for order in range(1, len(model.orders) + 1):
            out.write(f"\n\\{order}-grams:\n")
            for lines in _lines(model, order):
                out.write(lines)
        out.write("\n\\end\\\n")


def read_arpa(path: Path) -> ArpaModel:
    """Read an ARPA file into memory; ValueError names the line that is wrong."""
    ids: dict[str, int] = {}
    orders: list[ArpaOrder] = []
    rows: list[tuple[list[int], float, float]] = []
    order = 0
    ended, num_words = False, 0
    for number, line in numbered_lines(path):
        if line.startswith("\\") or not order:
            if order:
                orders.append(_order_of_rows(rows, order))
                rows = []
            ended = line == "\\end\\"
            header = _GRAMS.fullmatch(line)
            order = int(header[1]) if header else 0
            if header and order != len(orders) + 1:
                raise ValueError(f"{path}:{number}: {line!r}; expected \\{len(orders) + 1}-grams:")
        elif line:
            try:
                rows.append(_parse_row(line, order, ids))
            except ValueError as error:
                raise ValueError(f"{path}:{number}: {error}") from error
            if order > 1 and len(ids) > num_words:
                raise ValueError(f"{path}:{number}: {line!r} has a word that is no 1-gram")
        num_words = len(ids)
    if not ended or not orders:
        raise ValueError(f"{path}: not a whole ARPA file (no \\end\\); estimate the model again")
    if lacking := [edge for edge in ("<s>", "</s>") if edge not in ids]:
        raise ValueError(f"{path}: no {lacking[0]} among the 1-grams; expected both")
    return ArpaModel(list(ids), orders)


def _parse_row(line: str, order: int, ids: dict[str, int]) -> tuple[list[int], float, float]:
    fields = line.split("\t")
    words = fields[1].split(" ") if len(fields) in (2, 3) else []
    if len(words) != order:
        raise ValueError(f"{line!r}; expected log10 probability, tab, {order} words, back-off")
    probability, backoff = float(fields[0]), float(fields[2]) if len(fields) == 3 else 0.0
    if not (math.isfinite(probability) and math.isfinite(backoff)):
        raise ValueError(f"{line!r}; expected finite numbers")
    return [ids.setdefault(word, len(ids)) for word in words], probability, backoff


def _order_of_rows(rows: list[tuple[list[int], float, float]], order: int) -> ArpaOrder:
    return ArpaOrder(
        np.array([row[0] for row in rows], dtype=np.int32).reshape(len(rows), order),
        np.array([row[1] for row in rows], dtype=np.float64),
        np.array([row[2] for row in rows], dtype=np.float64),
    )


def _lines(model: ArpaModel, order: int) -> Iterator[str]:
    values = model.orders[order - 1]
    vocabulary = np.array(model.vocabulary, dtype=object)
    has_backoff = order < len(model.orders)
    for start in range(0, len(values.words), _ROWS_A_CHUNK):
        rows = slice(start, start + _ROWS_A_CHUNK)
        columns = [vocabulary[column].tolist() for column in values.words[rows].T]
        words = map(" ".join, zip(*columns, strict=True))
        # adding 0.0 turns -0.0 into 0.0
        probabilities = (values.log10_probability[rows] + 0.0).tolist()
        if has_backoff:
            backoffs = (values.log10_backoff[rows] + 0.0).tolist()
            lines = [
                f"{p:.7g}\t{w}\t{b:.7g}\n"
                for p, w, b in zip(probabilities, words, backoffs, strict=True)
            ]
        else:
            lines = [f"{p:.7g}\t{w}\n" for p, w in zip(probabilities, words, strict=True)]
        yield "".join(lines)
