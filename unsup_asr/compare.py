"""Several results side by side, with published ones below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unsup_asr.published import PUBLISHED
from unsup_asr.report import aligned, load_results
from unsup_asr.results import SUPERVISED_ROW, Results


@dataclass(frozen=True)
class ScoringConditions:
    """What must be equal before two error rates can be set side by side."""

    corpus: str
    test_digest: str
    num_phones: int
    scored_on: str

    def __str__(self) -> str:
        return (
            f"{self.corpus}, {self.scored_on}, {self.num_phones} phones, "
            f"test set {self.test_digest}"
        )


def compare(paths: Sequence[Path]) -> str:
    """One table of results that were scored under the same conditions.

    Each path is a recipe's experiment folder, or a `results.json`. ValueError when the conditions
    (phones, test set) differ: such numbers do not compare. `compare_apart` prints them even so.
    """
    runs = _load(paths)
    conditions = [scoring_conditions(results) for _, results in runs]
    for (path, _), found in zip(runs, conditions, strict=True):
        if found != conditions[0]:
            raise ValueError(
                f"{path} was scored on [{found}], {runs[0][0]} on [{conditions[0]}]. Error rates "
                "compare only over the same phones and test set; score both on one set, or show "
                "them apart (--show-apart)."
            )
    return "\n\n".join([_table(conditions[0], runs), _published_table()])


def compare_apart(paths: Sequence[Path]) -> str:
    """One table for each set of scoring conditions, none of them to be compared with another."""
    groups: dict[ScoringConditions, list[tuple[Path, Results]]] = {}
    for path, results in _load(paths):
        groups.setdefault(scoring_conditions(results), []).append((path, results))
    tables = [_table(conditions, runs) for conditions, runs in groups.items()]
    return "\n\n".join([*tables, _published_table()])


def scoring_conditions(results: Results) -> ScoringConditions:
    """The conditions of a run; ValueError when its own rows were scored on different sets."""
    scored_on = {f"{r.split} ({r.num_utterances} utterances)" for r in results.rows.values()}
    if len(scored_on) != 1:
        raise ValueError(
            f"{results.recipe}: its systems were scored on {sorted(scored_on) or 'nothing'}; "
            "expected one and the same set for all of them, run `evaluate` again"
        )
    return ScoringConditions(
        results.corpus, results.test_digest, results.num_phones, scored_on.pop()
    )


def _load(paths: Sequence[Path]) -> list[tuple[Path, Results]]:
    if not paths:
        raise ValueError("nothing to compare; name at least one experiment folder or results.json")
    return [(path, Results.read(path) if path.is_file() else load_results(path)) for path in paths]


def _table(conditions: ScoringConditions, runs: Sequence[tuple[Path, Results]]) -> str:
    """One line a system, one column a run: a run without that system has an empty cell."""
    names = list(dict.fromkeys(name for _, results in runs for name in results.rows))
    if SUPERVISED_ROW in names:  # a run with more rounds must not push the baseline into the middle
        names.remove(SUPERVISED_ROW)
        names.append(SUPERVISED_ROW)
    header = ["PER %", *(f"{results.recipe}, seed {results.seed}" for _, results in runs)]
    cells = [[name, *(_cell(results, name) for _, results in runs)] for name in names]
    cells.append(["boundary F1", *(_boundary_cell(results) for _, results in runs)])
    cells.append(["wall s", *(f"{results.wall_s:.0f}" for _, results in runs)])
    return "\n".join([f"Scored on {conditions}", *aligned(header, cells, left={0})])


def _cell(results: Results, name: str) -> str:
    row = results.rows.get(name)
    return f"{row.per:.1f} [{row.interval_low:.1f}, {row.interval_high:.1f}]" if row else ""


def _boundary_cell(results: Results) -> str:
    return f"{results.boundaries.f1:.3f}" if results.boundaries else ""


def _published_table() -> str:
    header = ["published, PER %", "", "scored on", "phones", "training", "source"]
    cells = [
        [
            result.system,
            f"{result.per:.1f}" + (" " if result.is_read else "?"),
            f"{result.corpus} {result.scored_on}",
            str(result.num_phones),
            "supervised" if result.is_supervised else "unsupervised",
            result.source,
        ]
        for result in PUBLISHED
    ]
    return "\n".join(
        [
            "Published results, under their own conditions: for orientation, not for comparison",
            *aligned(header, cells, left={0, 2, 4, 5}),
            "? from memory, not checked against the source",
        ]
    )
