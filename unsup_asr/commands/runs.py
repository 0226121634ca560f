"""A table of all runs of a folder of experiments: what differs, what came out, when."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path

from unsup_asr.engine.runs import LATEST, MANIFEST, RUNS, read_run
from unsup_asr.formats.names import shown
from unsup_asr.report.results import FINAL_ROW, Results
from unsup_asr.report.signs import DIAGNOSIS_FILE, read_findings
from unsup_asr.report.terminal import aligned

_HEADER = ["recipe", "run", "date", "options that differ", "PER %", "criterion", "signs of failure"]


def runs_table(exp: Path) -> list[str]:
    """Lines, newest run of each recipe first; `*` marks the latest. ValueError without any."""
    roots = sorted({path.parents[2] for path in exp.glob(f"*/{RUNS}/*/{MANIFEST}")})
    if not roots:
        raise ValueError(f"{exp}: no run has ended there; expected exp/<recipe>/{RUNS} of some run")
    cells = [row for root in roots for row in _of_recipe(root)]
    return aligned(_HEADER, cells, left={0, 1, 2, 3})


def _of_recipe(root: Path) -> list[list[str]]:
    manifests = sorted(
        root.glob(f"{RUNS}/*/{MANIFEST}"), key=lambda path: path.stat().st_mtime_ns, reverse=True
    )
    options = {path.parent: _options(path.parent) for path in manifests}
    counts = Counter(option for of_run in options.values() for option in set(of_run))
    everywhere = {option for option, count in counts.items() if count == len(options)}
    latest = (root / LATEST).resolve()
    rows: list[list[str]] = []
    for run, given in options.items():
        record = read_run(run)
        own = " ".join(shlex.quote(o) for o in given if len(options) == 1 or o not in everywhere)
        mark = "*" if run.resolve() == latest else " "
        rows.append(
            [
                root.name,
                f"{mark} {run.name}",
                record.date if record else "",
                shown(own),
                *_came(run),
            ]
        )
    return rows


def _options(run: Path) -> list[str]:
    """Options of the command that made a run."""
    record = read_run(run)
    return shlex.split(record.command)[3:] if record else []


def _came(run: Path) -> list[str]:
    """PER, criterion and signs of failure of a run, empty where it has none."""
    per = criterion = signs = ""
    if (run / "evaluate" / "results.json").is_file():
        row = Results.read(run / "evaluate" / "results.json").rows.get(FINAL_ROW)
        if row is not None:
            per = f"{row.per:.1f}"
            criterion = "" if row.criterion is None else f"{row.criterion:.3f}"
    if (run / "diagnosis" / DIAGNOSIS_FILE).is_file():
        signs = str(len(read_findings(run / "diagnosis" / DIAGNOSIS_FILE)))
    return [per, criterion, signs]
