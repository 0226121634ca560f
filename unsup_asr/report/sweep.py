"""Runs of a sweep in one table, and the one that is chosen without references."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from unsup_asr.formats.checked import read_json
from unsup_asr.report.run import load_results
from unsup_asr.report.signs import DIAGNOSIS_FILE, SIGNS_FILE, read_findings, read_signs
from unsup_asr.report.terminal import aligned

RULE = (
    "chosen without references: of the runs that the diagnosis does not call failed (all, if it "
    "calls all so), the lowest criterion; where several are within 5 % of it, the lowest "
    "divergence of bigrams from the text's"
)
_CLOSE = 1.05  # criteria that tell converged runs apart no better than chance


@dataclass(frozen=True, kw_only=True)
class SweepRow:
    """One run: what is known of it without references and, last, its PER where there are any."""

    number: int
    options: tuple[str, ...]
    run: str | None = None  # name of its folder under runs/
    seconds: float = 0.0
    error: str | None = None
    criterion: float | None = None  # weighted perplexity of the model
    bigram_divergence: float | None = None  # bits
    edits: float | None = None  # between the last realignment and the model, %
    num_signs: int | None = None  # of failure
    per: float | None = None

    @property
    def is_known(self) -> bool:
        """Whether it ended, with a model."""
        return self.error is None and self.criterion is not None


def read_row(row: SweepRow, root: Path) -> SweepRow:
    """The row with what its run has left under `root` (exp/<recipe>)."""
    assert row.run is not None
    run = root / "runs" / row.run
    found = asdict(row)
    if (run / "model").exists():
        choice = read_json(run / "model" / "choice.json", "chosen", "criteria")
        criteria = choice["criteria"]
        assert isinstance(criteria, dict)
        found["criterion"] = float(criteria[str(choice["chosen"])])
        if (run / "diagnosis").exists():
            signs = read_signs(run / "diagnosis" / SIGNS_FILE)
            found["num_signs"] = len(read_findings(run / "diagnosis" / DIAGNOSIS_FILE))
            final = signs[str(choice["chosen"])]
            found["bigram_divergence"] = final.js_divergence.get(2)
            realigned = [name for name in signs if name.startswith(("realign_", "hmm_"))]
            found["edits"] = signs[realigned[-1]].edits_from_final if realigned else None
    if (run / "evaluate" / "results.json").is_file():
        results = load_results(run)
        if results.final_row is not None:
            found["per"] = results.rows[results.final_row].per
    return SweepRow(**{**found, "options": tuple(row.options)})


def chosen_row(rows: Sequence[SweepRow]) -> SweepRow | None:
    """By `RULE`; None where no run has a model."""
    known = [row for row in rows if row.is_known]
    sound = [row for row in known if row.num_signs == 0] or known
    if not sound:
        return None
    lowest = min(row.criterion or math.inf for row in sound)
    near = [row for row in sound if (row.criterion or math.inf) <= _CLOSE * lowest]
    return min(near, key=lambda row: (row.bigram_divergence or math.inf, row.criterion))


def regret(rows: Sequence[SweepRow], chosen: SweepRow | None) -> float | None:
    """Points of PER between the chosen run and the best; None without references."""
    rates = [row.per for row in rows if row.per is not None]
    return None if chosen is None or chosen.per is None else chosen.per - min(rates)


def sweep_table(rows: Sequence[SweepRow], chosen: SweepRow | None) -> list[str]:
    """Lines for a terminal: options that differ, label-free numbers, PER, run."""
    common = set.intersection(*(set(row.options) for row in rows)) if rows else set()
    has_rates = any(row.per is not None for row in rows)
    header = ["", "run", "options", "criterion", "bigrams", "edits %", "signs"]
    header += [*(["PER %"] if has_rates else []), "s", "folder"]
    cells = []
    for row in rows:
        numbers = [
            _shown(row.criterion, 3),
            _shown(row.bigram_divergence, 3),
            _shown(row.edits, 1),
            "" if row.num_signs is None else str(row.num_signs),
            *([_shown(row.per, 1)] if has_rates else []),
            f"{row.seconds:.0f}",
        ]
        options = " ".join(option for option in row.options if option not in common)
        mark = "*" if chosen is not None and row.number == chosen.number else ""
        where = f"failed: {row.error}" if row.error else str(row.run)
        cells.append([mark, str(row.number), options, *numbers, where])
    lines = aligned(header, cells, left={0, 2, len(header) - 1})
    lines += [f"* {RULE}"]
    if (points := regret(rows, chosen)) is not None:
        lines += [f"its PER is {points:.1f} points above the lowest of the sweep"]
    return lines


def sweep_json(rows: Sequence[SweepRow], chosen: SweepRow | None) -> str:
    """The same for scripts."""
    found = {
        "chosen": None if chosen is None else chosen.number,
        "rule": RULE,
        "regret": regret(rows, chosen),
        "runs": [asdict(row) for row in rows],
    }
    return json.dumps(found, indent=1, ensure_ascii=False)


def _shown(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
