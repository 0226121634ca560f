"""Which number of a finished run tells, without references, whether it works?

python -m benchmarks.diagnosis exp/synthetic_fi exp/synthetic_ta ... [--gain 0.8] [--json FILE]

Runs need references, to know who is right. A run is good if its final system beats its nulls by 5
points and gains at least the share `--gain` of what the supervised baseline gains over the lower
null. For each label-free number a limit is set on every other language (by name) and judged on the
rest: alarms for runs that are not good are hits, for good ones false. The diagnosis of each run is
judged as it stands. All tables are markdown.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from unsup_asr.report.results import SUPERVISED_ROW, Results
from unsup_asr.report.run import load_results
from unsup_asr.scoring.signs import TEXT, Signs

NUMBERS: Mapping[str, Callable[[Signs, Signs], float]] = {
    "perplexity, times the text's": lambda of, text: of.perplexity / text.perplexity,
    "JS 1 above the text's": lambda of, text: _above(of, text, 1),
    "JS 2 above the text's": lambda of, text: _above(of, text, 2),
    "JS 3 above the text's": lambda of, text: _above(of, text, 3),
    "rate, distance from the text's": lambda of, text: abs(
        of.phones_per_second / text.phones_per_second - 1
    ),
    "equal neighbours above the text's": lambda of, text: (
        of.equal_neighbours - text.equal_neighbours
    ),
    "edits from the final, %": lambda of, text: of.edits_from_final or 0.0,
}
"""Of a system and of the text; more means worse."""


@dataclass(frozen=True)
class Run:
    """What is known of one run: rates in percent, numbers by `system: number`."""

    name: str
    language: str
    per: float
    null: float
    supervised: float
    works: bool
    good: bool
    alarms: int  # messages of its diagnosis
    numbers: dict[str, float]


@dataclass(frozen=True)
class Judged:
    """How a limit does: `hits` of `num_bad` runs that are not good, `false` of `num_good`."""

    hits: int
    num_bad: int
    false: int
    num_good: int

    @property
    def errors(self) -> int:
        """Runs that it is wrong about."""
        return self.num_bad - self.hits + self.false

    def __str__(self) -> str:
        return f"{self.hits} of {self.num_bad} | {self.false} of {self.num_good}"


def main() -> None:
    """Print the runs, what each number is worth, and the hits and misses of the diagnosis."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", metavar="EXP")
    parser.add_argument("--gain", type=float, default=0.8)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    runs = [read(path, gain=arguments.gain) for path in arguments.runs]
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(run) for run in runs], indent=1), "utf-8")
    setting, judging = halves(runs)
    print(_table(_RUN_HEADER, [_run_cells(run, set_on=run in setting) for run in runs]))
    print(_table(_LIMIT_HEADER, limits(setting, judging)))
    for title, half in (("setting", setting), ("judging", judging), ("all", runs)):
        print(f"diagnosis as it stands, {title}: {judge(half, lambda run: run.alarms, 0)}")


def read(path: Path, *, gain: float) -> Run:
    """A run, from its folder; ValueError without nulls, signs, or a supervised baseline."""
    results = load_results(path)
    final = results.final_row
    row = results.rows[final] if final else None
    if row is None or row.nulls is None or not results.signs or SUPERVISED_ROW not in results.rows:
        raise ValueError(
            f"{path}: no nulls, no signs or no supervised baseline; run it again with this version"
        )
    supervised = results.rows[SUPERVISED_ROW].per
    swap = row.nulls.audio_swap
    null = min(swap if swap is not None else row.nulls.random_phones, row.nulls.random_phones)
    return Run(
        name=path.name,
        language=path.name.removeprefix("synthetic_").split("_")[
            -2 if path.name[-1].isdigit() else -1
        ],
        per=row.per,
        null=null,
        supervised=supervised,
        works=bool(row.works),
        good=bool(row.works) and null - row.per >= gain * (null - supervised),
        alarms=len(results.diagnosis),
        numbers=numbers_of(results),
    )


def _language(name: str) -> str:
    """`fi` of synthetic_fi and small_fi_1."""
    return [part for part in name.split("_") if not part.isdigit()][-1]


def numbers_of(results: Results) -> dict[str, float]:
    """Label-free numbers of the systems that every run has: start, last realigned, final."""
    text = results.signs[TEXT]
    names = [name for name in results.signs if name != TEXT]
    realigned = [name for name in names if name.startswith(("realign_", "hmm_"))][-1:]
    rounds = [name for name in names if name.startswith("self_training_")][-1:]
    kinds = {"matching": "matching", "gan": "game", "matching_2": "matching 2"}
    kinds |= {name: "last realignment" for name in realigned} | {name: "final" for name in rounds}
    return {
        f"{kind}: {number}": value(results.signs[name], text)
        for name, kind in kinds.items()
        if name in results.signs
        for number, value in NUMBERS.items()
        if not (kind == "final" and number.startswith("edits"))
    }


def halves(runs: Sequence[Run]) -> tuple[list[Run], list[Run]]:
    """Runs of every other language by name, and of the rest: limits are set on the first."""
    first = sorted({run.language for run in runs})[::2]
    setting = [run for run in runs if run.language in first]
    return setting, [run for run in runs if run not in setting]


def judge(runs: Sequence[Run], number: Callable[[Run], float], limit: float) -> Judged:
    """An alarm is a number above the limit."""
    good = [run for run in runs if run.good]
    bad = [run for run in runs if not run.good]
    return Judged(
        sum(number(run) > limit for run in bad),
        len(bad),
        sum(number(run) > limit for run in good),
        len(good),
    )


def best_limit(runs: Sequence[Run], number: Callable[[Run], float]) -> float:
    """Midway between two runs, so that it is wrong about the fewest; of equal ones the highest."""
    values = sorted(number(run) for run in runs)
    midway = [(a + b) / 2 for a, b in pairwise(values)] or values
    return min(reversed(midway), key=lambda limit: judge(runs, number, limit).errors)


def limits(setting: Sequence[Run], judging: Sequence[Run]) -> list[list[str]]:
    """A line for each number that all runs have, the fewest errors on all runs first."""
    everywhere = set.intersection(*(set(run.numbers) for run in [*setting, *judging]))
    lines: list[tuple[int, list[str]]] = []
    for name in (name for name in setting[0].numbers if name in everywhere):

        def number(run: Run, name: str = name) -> float:
            return run.numbers[name]

        limit = best_limit(setting, number)
        first, second = judge(setting, number, limit), judge(judging, number, limit)
        cells = [name, f"{limit:.3g}", *str(first).split(" | "), *str(second).split(" | ")]
        lines.append((first.errors + second.errors, cells))
    return [cells for _, cells in sorted(lines, key=lambda line: line[0])]


_RUN_HEADER = (
    *("run", "PER", "lower null", "supervised", "works", "good", "alarms"),
    *("game: perplexity", "realignment: perplexity", "final: perplexity"),
    *("realignment: JS 2", "realignment: edits", "final: JS 2", "used for"),
)
_LIMIT_HEADER = (
    *("number", "limit", "hits, setting", "false, setting", "hits, judging", "false, judging"),
)


def _run_cells(run: Run, *, set_on: bool) -> list[str]:
    shown = (
        *(f"{of}: perplexity, times the text's" for of in ("game", "last realignment", "final")),
        *("last realignment: JS 2 above the text's", "last realignment: edits from the final, %"),
        "final: JS 2 above the text's",
    )
    return [
        run.name,
        *(f"{rate:.1f}" for rate in (run.per, run.null, run.supervised)),
        *("yes" if said else "no" for said in (run.works, run.good)),
        str(run.alarms),
        *(f"{run.numbers[name]:.3g}" if name in run.numbers else "" for name in shown),
        "setting" if set_on else "judging",
    ]


def _above(of: Signs, text: Signs, n: int) -> float:
    return of.js_divergence.get(n, 1.0) - text.js_divergence.get(n, 0.0)


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


if __name__ == "__main__":
    main()
