"""RESULTS.md of a recipe's folder: what its runs reached, and the exact command of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from unsup_asr.report.nulls import null_cells, works_cell
from unsup_asr.report.results import SUPERVISED_ROW, Results, Row
from unsup_asr.scoring.nulls import MARGIN
from unsup_asr.types import RunRecord

_HEADER = (
    *("run", "PER, unsupervised", "audio swap", "random phones", "works"),
    *("PER, supervised", "boundary F1", "scored on", "seed"),
    *("date", "commit", "time, s", "peak, MB"),
)
_NOT_RUN = "not run"
_NOT_RECORDED = "not recorded"
_LEGEND = (
    "PER in percent on the test split, with its 95 % interval. The nulls are the PER of the same "
    "output against another utterance's reference of like length, and of as many phones drawn with "
    f"the text's frequencies; a system works if it is at least {MARGIN:g} points under both. Time "
    "is the sum of the stages; a commit with + had changes that were not committed. Commands:"
)


def results_markdown(runs: Mapping[str, tuple[Results, RunRecord | None] | None]) -> str:
    """One line for each experiment, by its name; `not run` where it has no results."""
    rows: list[Sequence[str]] = []
    commands: list[str] = []
    for name, run in runs.items():
        if run is None:
            rows.append([name, _NOT_RUN, *[""] * (len(_HEADER) - 2)])
            continue
        results, record = run
        rows.append(_cells(name, results, record))
        commands.append(f"- {name}: `{record.command if record else _NOT_RECORDED}`")
    lines = ["# Results", "", f"Written by `unsup-asr report {' '.join(runs)} --results FILE`."]
    lines += ["", *_table(rows)]
    if commands:
        lines += ["", _LEGEND, "", *commands]
    return "\n".join(lines) + "\n"


def _cells(name: str, results: Results, record: RunRecord | None) -> list[str]:
    final, rows = results.final_row, results.rows
    any_row = next(iter(rows.values()))
    return [
        name,
        _rate(rows[final]) if final else "",
        *([*null_cells(rows[final]), works_cell(rows[final])] if final else ["", "", ""]),
        _rate(rows[SUPERVISED_ROW]) if SUPERVISED_ROW in rows else "",
        f"{results.boundaries.f1:.3f}" if results.boundaries else "",
        f"{any_row.split}, {any_row.num_utterances} utterances, {results.num_phones} phones",
        str(results.seed),
        record.date if record else _NOT_RECORDED,
        record.commit if record else _NOT_RECORDED,
        f"{results.wall_s:.0f}",
        "" if results.peak_rss_mb is None else f"{results.peak_rss_mb:.0f}",
    ]


def _rate(row: Row) -> str:
    return f"{row.per:.1f} ({row.interval_low:.1f} to {row.interval_high:.1f})"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(_HEADER)} |",
        "|" + "---|" * len(_HEADER),
        *(f"| {' | '.join(cells)} |" for cells in rows),
    ]
