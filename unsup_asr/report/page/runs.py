"""The page of several runs: those that compare side by side, the others apart, with a warning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from unsup_asr.formats.whole import write_whole
from unsup_asr.report.compare import alike, scored_run, table_cells
from unsup_asr.report.diagnosed import Diagnosed
from unsup_asr.report.left import Left
from unsup_asr.report.nulls import SIGNS_NOTE, null_cells, sign_cells, works_cell
from unsup_asr.report.page.charts import how_to_read, systems_chart
from unsup_asr.report.page.document import document, note, section, table, unfolded
from unsup_asr.report.page.overview import verdict_of
from unsup_asr.report.page.samples import sample_parts
from unsup_asr.report.results import Results
from unsup_asr.report.samples import MOST_BYTES, read_samples
from unsup_asr.scoring.signs import TEXT
from unsup_asr.types import RunRecord

_SIGNS_APART = "They depend on the text and on the audio: compare them only where both are the same"


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One run, by a name that no other has on the page; `record` is what made it."""

    name: str
    folder: Path
    left: Left
    diagnosed: Diagnosed
    record: RunRecord | None = None


def write_runs_page(path: Path, runs: Sequence[Shown], *, num_samples: int) -> None:
    """Write the page of several runs to `path`, whole or not at all."""
    names = ", ".join(run.name for run in runs)
    groups = groups_of(runs)
    parts = [f"<h1>{len(runs)} runs side by side</h1>"]
    parts += [f'<div class="warning">{escape(said)}</div>' for said in apart(groups)]
    parts.append(section("runs", "What came of each", *_overview(runs)))
    for number, group in enumerate(groups, start=1):
        most_bytes = MOST_BYTES // len(groups)
        parts += _group(number, group, num_samples=num_samples, most_bytes=most_bytes)
    header, lines = _signs(runs)
    if lines:
        shown = table(header, lines, label="signs of all runs", left=(0, 1))
        heading = "Signs without references"
        parts.append(section("signs", heading, shown, note(SIGNS_NOTE), note(_SIGNS_APART)))
    parts.append(section("made", "What made them", _made(runs)))
    write_whole(path, document(f"{len(runs)} runs: {names}", parts))


def groups_of(runs: Sequence[Shown]) -> list[list[Shown]]:
    """Runs whose error rates compare, and runs without any that have heard one corpus."""
    by_folder = {run.folder: run for run in runs}
    scored = [scored_run(r.folder, r.left.results) for r in runs if r.left.results is not None]
    groups = [[by_folder[one.path] for one in group] for group in alike(scored)]
    by_corpus: dict[Path, list[Shown]] = {}
    for run in runs:
        if run.left.results is None:
            corpus = run.left.stages.get("corpus", run.folder).resolve()
            by_corpus.setdefault(corpus, []).append(run)
    return [*groups, *by_corpus.values()]


def apart(groups: Sequence[Sequence[Shown]]) -> list[str]:
    """Why groups do not compare, one sentence each."""
    said: list[str] = []
    first = groups[0][0]
    for group in groups[1:]:
        run = group[0]
        names = _listed([one.name for one in group])
        if run.left.results is None:
            said.append(f"{names}: without an error rate, so nothing to compare it by")
            continue
        assert first.left.results is not None  # runs with results come first
        differing = scored_run(first.folder, first.left.results).differences(
            scored_run(run.folder, run.left.results)
        )
        why = f", in {', '.join(differing)}" if differing else ""
        said.append(
            f"{names}: scored under other conditions than {first.name}{why}. Their error rates do "
            "not compare"
        )
    return said


def _overview(runs: Sequence[Shown]) -> Iterable[str]:
    header = ["run", "verdict", "PER %", "95 % interval", "swap", "random", "works"]
    header += ["weighted perplexity", "signs of failure"]
    yield table(header, [_line(run) for run in runs], label="what came of each run", left=(0, 1))
    for run in runs:
        messages = [finding.message for finding in run.diagnosed.findings]
        commands = "".join(f"<pre><code>{escape(c)}</code></pre>" for c in run.diagnosed.commands)
        listed = "".join(f'<div class="warning">{escape(message)}</div>' for message in messages)
        number = f"{len(messages)} signs of failure" if messages else "no sign of failure"
        yield unfolded(f"{run.name}: {number}, and what to do next", listed + commands)


def _line(run: Shown) -> list[str]:
    _, verdict, _ = verdict_of(run.left, run.diagnosed)
    results = run.left.results
    final = results.final_row if results else None
    row = results.rows[final] if results and final else None
    system = run.left.final_stage
    criterion = run.left.criteria.get(system) if system else None
    if row is not None and row.criterion is not None:
        criterion = row.criterion
    return [
        *(run.name, verdict),
        "" if row is None else f"{row.per:.1f}",
        "" if row is None else f"{row.interval_low:.1f} to {row.interval_high:.1f}",
        *(["", "", ""] if row is None else [*null_cells(row), works_cell(row)]),
        "" if criterion is None else f"{criterion:.1f}",
        str(len(run.diagnosed.findings)),
    ]


def _group(
    number: int, group: Sequence[Shown], *, num_samples: int, most_bytes: int
) -> Iterable[str]:
    lefts = {run.name: run.left for run in group}
    names = _listed(lefts)
    if chart := systems_chart(lefts, title=f"Systems of {names}"):
        yield section(
            f"systems-{number}", f"{names}: from system to system", chart, note(how_to_read())
        )
    results = {run.name: run.left.results for run in group if run.left.results is not None}
    if results:
        scored = [scored_run(r.folder, r.left.results) for r in group if r.left.results is not None]
        header, lines = table_cells(scored, list(results))
        yield section(
            f"per-{number}",
            f"{names}: phone error rate",
            *_best(results),
            table(header, lines, label=f"error rates of {names}", left=(0, 1, 2)),
            note(f"Scored on {scored[0].conditions}"),
        )
    said = None
    if results:
        kept = [{s.utterance_id: s for s in one.samples} for one in results.values()]
        said = {i: sample for i, sample in kept[0].items() if all(i in other for other in kept)}
    samples = read_samples(
        {run.name: run.left.stages for run in group},
        said,
        num_samples=num_samples,
        most_bytes=most_bytes,
    )
    yield section(f"samples-{number}", f"{names}: samples", *sample_parts(samples))


def _best(results: Mapping[str, Results]) -> Iterable[str]:
    """Which run makes the fewest errors, and whether its interval is apart from the next one's."""
    rows = {
        name: one.rows[final]
        for name, one in results.items()
        if (final := one.final_row) is not None
    }
    ranked = sorted(rows, key=lambda name: rows[name].per)
    if len(ranked) < 2:
        return
    best, second = ranked[:2]
    text = (
        f"{best} makes the fewest errors, {rows[best].per:.1f} %; then {second}, "
        f"{rows[second].per:.1f} %."
    )
    if rows[best].interval_high >= rows[second].interval_low:
        text += " Their intervals overlap, so that other seeds may turn the order."
    yield f"<p>{escape(text)}</p>"


def _signs(runs: Sequence[Shown]) -> tuple[list[str], list[list[str]]]:
    """Column names, and one line a run: its final system's signs, beside its own text's."""
    header: list[str] = []
    lines: list[list[str]] = []
    for run in runs:
        signs, system = run.left.signs, run.left.final_stage
        if system is not None and system in signs and TEXT in signs:
            names, (_, line) = sign_cells({TEXT: signs[TEXT], system: signs[system]})
            header = ["run", *names]
            lines.append([run.name, *line])
    return header, lines


def _made(runs: Sequence[Shown]) -> str:
    rows = [
        [run.name, run.record.date, run.record.commit, run.record.command]
        if run.record
        else [run.name, "", "", "not recorded"]
        for run in runs
    ]
    header = ["run", "date", "commit", "command"]
    return table(header, rows, label="what made the runs", left=range(4))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
