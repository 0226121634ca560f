"""Several results side by side, unsupervised and supervised, with published ones below.

Error rates compare over the same test set, phones, fold and silence policy, and a system only with
itself decoded alike (with a language model or without). The rest is refused, or shown apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import combinations
from pathlib import Path

from unsup_asr.formats.finished import check_written
from unsup_asr.report.published import published_of
from unsup_asr.report.results import SUPERVISED_ROWS, Results
from unsup_asr.report.run import load_results
from unsup_asr.report.terminal import aligned
from unsup_asr.scoring.nulls import margin

_UNKNOWN = ""  # what results of older versions do not say


@dataclass(frozen=True)
class ScoringConditions:
    """What must be equal before two error rates can be set side by side; '' where unknown."""

    scored_on: str
    test_digest: str  # of the references
    audio_digest: str  # of the recordings
    num_phones: int
    fold: str
    silence: str

    def __str__(self) -> str:
        return (
            f"{self.scored_on}, references {self.test_digest}, recordings "
            f"{self.audio_digest or '?'}, {self.num_phones} phones, fold {self.fold or '?'}, "
            f"silence {self.silence or '?'}"
        )

    def differences(self, other: ScoringConditions) -> list[str]:
        """Names of the conditions in which the other one differs; unknown differs from none."""
        pairs = {f.name: (getattr(self, f.name), getattr(other, f.name)) for f in fields(self)}
        return [name for name, (a, b) in pairs.items() if a != b and _UNKNOWN not in (a, b)]


@dataclass(frozen=True)
class ScoredRun:
    """One run's results, from where they were read."""

    path: Path
    results: Results
    conditions: ScoringConditions

    def differences(self, other: ScoredRun) -> list[str]:
        """Why this run's rates do not compare with the other's: conditions, or a row's decoding."""
        differing = self.conditions.differences(other.conditions)
        for name, row in self.results.rows.items():
            decodings = {row.decoding}
            if name in other.results.rows:
                decodings.add(other.results.rows[name].decoding)
            if len(decodings - {_UNKNOWN}) > 1:
                differing.append(f"decoding of {name} ({' / '.join(sorted(decodings))})")
        return differing


def compare(paths: Sequence[Path], *, published: str = "all") -> str:
    """One table of results that were scored under the same conditions.

    Each path is a recipe's experiment folder, or a `results.json`. `published` names the corpus of
    the published figures below. ValueError when the conditions differ: such numbers do not compare.
    `compare_apart` prints them even so.
    """
    runs = _load(paths)
    for one, other in combinations(runs, 2):
        if differing := one.differences(other):
            raise ValueError(
                f"{other.path} was scored on [{other.conditions}], {one.path} on "
                f"[{one.conditions}]; they differ in {', '.join(differing)}. Error rates compare "
                "only under the same conditions; score both alike, or show them apart "
                "(--show-apart)."
            )
    return "\n\n".join([_table(runs), _published_table(published)])


def compare_apart(paths: Sequence[Path], *, published: str = "all") -> str:
    """One table for each set of scoring conditions, none of them to be compared with another."""
    tables = map(_table, alike(_load(paths)))
    return "\n\n".join([*tables, _published_table(published)])


def scored_run(path: Path, results: Results) -> ScoredRun:
    """A run with its conditions; ValueError when its own rows were scored on different sets."""
    return ScoredRun(path, results, scoring_conditions(results))


def alike(runs: Sequence[ScoredRun]) -> list[list[ScoredRun]]:
    """Groups of runs that all compare with one another, in the order of their first."""
    groups: list[list[ScoredRun]] = []
    for run in runs:
        for group in groups:
            if not any(member.differences(run) for member in group):
                group.append(run)
                break
        else:
            groups.append([run])
    return groups


def table_text(runs: Sequence[ScoredRun], names: Sequence[str]) -> str:
    """Runs that compare, by their names, as a table for a terminal."""
    corpora = ", ".join(dict.fromkeys(run.results.corpus for run in runs))
    lines = aligned(*table_cells(runs, names), left={0, 1, 2})
    return "\n".join([f"{corpora}, scored on {runs[0].conditions}", *lines])


def scoring_conditions(results: Results) -> ScoringConditions:
    """The conditions of a run; ValueError when its own rows were scored on different sets."""
    scored_on = {f"{r.split} ({r.num_utterances} utterances)" for r in results.rows.values()}
    if len(scored_on) != 1:
        raise ValueError(
            f"{results.recipe}: its systems were scored on {sorted(scored_on) or 'nothing'}; "
            "expected one and the same set for all of them, run `evaluate` again"
        )
    return ScoringConditions(
        scored_on=scored_on.pop(),
        test_digest=results.test_digest,
        audio_digest=results.audio_digest,
        num_phones=results.num_phones,
        fold=results.fold,
        silence=results.silence,
    )


def _load(paths: Sequence[Path]) -> list[ScoredRun]:
    if not paths:
        raise ValueError("nothing to compare; name at least one experiment folder or results.json")
    loaded = [_read(path) if path.is_file() else load_results(path) for path in paths]
    return [scored_run(path, results) for path, results in zip(paths, loaded, strict=True)]


def _read(path: Path) -> Results:
    check_written(path)
    return Results.read(path)


def _table(runs: Sequence[ScoredRun]) -> str:
    return table_text(runs, [f"{r.results.recipe}, seed {r.results.seed}" for r in runs])


def table_cells(
    runs: Sequence[ScoredRun], names: Sequence[str]
) -> tuple[list[str], list[list[str]]]:
    """Column names, and one line a system, one column a run, by its name: a run without that system
    has an empty cell.
    """
    results = [run.results for run in runs]
    systems = list(dict.fromkeys(name for found in results for name in found.rows))
    supervised = [name for name in SUPERVISED_ROWS if name in systems]
    header = ["PER %", "labels", "decoding", *names]
    cells = [
        [
            name,
            "references" if name in SUPERVISED_ROWS else "none",
            _decoding(results, name),
            *(_cell(found, name) for found in results),
        ]
        for name in [*(n for n in systems if n not in SUPERVISED_ROWS), *supervised]
    ]
    cells += [
        [f"behind {name}", "", "", *(_behind(found, name) for found in results)]
        for name in supervised
    ]
    cells.append(["under the nulls", "", "", *(_under_nulls(found) for found in results)])
    cells.append(["boundary F1", "", "", *(_boundary_cell(found) for found in results)])
    cells.append(["wall s", "", "", *(f"{found.wall_s:.0f}" for found in results)])
    return header, cells


def _decoding(results: Sequence[Results], name: str) -> str:
    """How the row was decoded, the same in all runs that say it."""
    found = {r.rows[name].decoding for r in results if name in r.rows} - {_UNKNOWN}
    return found.pop() if found else ""


def _cell(results: Results, name: str) -> str:
    row = results.rows.get(name)
    return f"{row.per:.1f} [{row.interval_low:.1f}, {row.interval_high:.1f}]" if row else ""


def _behind(results: Results, supervised: str) -> str:
    """Points between the final unsupervised system and a supervised one."""
    final = results.final_row
    if final is None or supervised not in results.rows:
        return ""
    return f"{results.rows[final].per - results.rows[supervised].per:+.1f}"


def _under_nulls(results: Results) -> str:
    """Points of the final system under the lower of its nulls, and whether it works."""
    final = results.final_row
    row = results.rows[final] if final else None
    if row is None or row.nulls is None:
        return ""
    return f"{margin(row.per, row.nulls):.1f}" + ("" if row.works else ", does not work")


def _boundary_cell(results: Results) -> str:
    return f"{results.boundaries.f1:.3f}" if results.boundaries else ""


def _published_table(corpus: str) -> str:
    results = published_of(corpus)
    sources = list(dict.fromkeys(result.source for result in results))
    header = [
        "published",
        "",
        "%",
        "",
        "scored on",
        "phones",
        "sil",
        "decoding",
        "labels",
        "source",
    ]
    cells = [
        [
            result.system,
            result.measure,
            f"{result.rate:g}",
            "" if result.is_read else "?",
            f"{result.corpus} {result.scored_on}",
            result.phones,
            result.silence,
            result.decoding,
            "references" if result.is_supervised else "none",
            f"[{1 + sources.index(result.source)}]",
        ]
        for result in results
    ]
    return "\n".join(
        [
            "Published results, under their own conditions: for orientation, not for comparison",
            *aligned(header, cells, left={0, 1, 4, 5, 6, 7, 8, 9}),
            "? from memory, not checked against the source",
            *(f"[{number}] {source}" for number, source in enumerate(sources, 1)),
        ]
    )
