"""`report`: what a recipe has reached, on the terminal and as a page to see and hear."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from unsup_asr.commands import UsageError, experiment_root
from unsup_asr.commands.diagnose import examine
from unsup_asr.engine.recipe_files import (
    CONFIG_NAME,
    RecipeError,
    check_recipe_name,
    first_lines,
    recipe_folder,
)
from unsup_asr.engine.runs import LATEST, RUNS, read_run
from unsup_asr.formats.whole import write_whole
from unsup_asr.report.compare import scored_run, table_text
from unsup_asr.report.diagnosed import SAYS, Diagnosed
from unsup_asr.report.left import Left, load_left
from unsup_asr.report.markdown import results_markdown
from unsup_asr.report.page.overview import NOT_SCORED
from unsup_asr.report.results import Results
from unsup_asr.report.run import load_results, run_folder
from unsup_asr.report.samples import MOST_SAMPLES, read_samples
from unsup_asr.report.terminal import report_json, signs_json, terminal_table, unscored_report
from unsup_asr.types import RunRecord

_PAGE, _PAGE_OF_SEVERAL = "report.html", "compared.html"


def report(arguments: argparse.Namespace) -> int:
    """Print the results of a recipe and write its page; or the page, or RESULTS.md, of several."""
    exp = Path(arguments.exp)
    _check_usage(arguments)
    if arguments.results:
        path = Path(arguments.results)
        runs = {name: _run_of(exp / name) for name in arguments.recipes}
        write_whole(path, results_markdown(runs))
        print(path)
        return 0
    by_run: dict[Path, Path] = {}
    for folder in (_experiment(recipe, exp) for recipe in arguments.recipes):
        by_run.setdefault(run_folder(folder).resolve(), folder)
    folders = list(by_run.values())
    if len(folders) > 1:
        path = exp / _PAGE_OF_SEVERAL if arguments.html == "" else Path(arguments.html)
        return _several(folders, path, num_samples=arguments.samples)
    (folder,) = folders
    path = Path(arguments.html) if arguments.html else folder / _PAGE
    return _one(folder, path, num_samples=arguments.samples, as_json=arguments.json)


def _check_usage(arguments: argparse.Namespace) -> None:
    if not 0 <= arguments.samples <= MOST_SAMPLES:
        raise UsageError(f"--samples is {arguments.samples}; expected 0 to {MOST_SAMPLES}")
    if arguments.html and not arguments.html.endswith(".html"):
        raise UsageError(
            f"--html {arguments.html}: expected a name that ends in .html; recipes go before --html"
        )
    has_page = arguments.html is not None and not arguments.json
    if len(arguments.recipes) > 1 and not arguments.results and not has_page:
        raise UsageError(
            f"one recipe at a time (found {' '.join(arguments.recipes)}); several with --html or "
            "--results"
        )


def _one(folder: Path, path: Path, *, num_samples: int, as_json: bool) -> int:
    left = load_left(folder, name=_name_of(folder)) if folder.is_dir() else None
    is_unscored = left is not None and left.signs and not left.has_references
    if left is None or (as_json and not is_unscored) or left.results is not None:
        results = load_results(folder)
        if as_json:
            print(json.dumps(report_json(results), ensure_ascii=False, indent=1))
            return 0
    assert left is not None  # or there were no results
    diagnosed, notice = _diagnosed(folder, left)
    messages = [finding.message for finding in diagnosed.findings]
    if as_json:
        found = {"recipe": left.name, "signs": signs_json(left.signs), "diagnosis": messages}
        print(json.dumps(found, ensure_ascii=False, indent=1))
        return 0
    if left.results is not None:
        print(terminal_table(left.results))
    elif is_unscored:
        print(unscored_report(left.name, left.signs, messages))
    else:
        unscored = [NOT_SCORED] if left.has_references else []
        print("\n".join([*diagnosed.lines(), *unscored]))
    if notice:
        print(f"\n{notice}")
    _write_page(path, left, diagnosed, notice, num_samples=num_samples)
    print(f"\n{path}")
    return 0


def _several(folders: Sequence[Path], path: Path, *, num_samples: int) -> int:
    from unsup_asr.report.page.runs import Shown, apart, groups_of, write_runs_page

    counts = Counter(map(_name_of, folders))
    names = [str(f) if counts[_name_of(f)] > 1 else _name_of(f) for f in folders]
    runs: list[Shown] = []
    for name, folder in zip(names, folders, strict=True):
        diagnosed, _ = _diagnosed(folder, left := load_left(folder, name=name))
        record = read_run(run_folder(folder))
        runs.append(Shown(name=name, folder=folder, left=left, diagnosed=diagnosed, record=record))
    groups = groups_of(runs)
    for group in groups:
        scored = [scored_run(r.folder, r.left.results) for r in group if r.left.results is not None]
        if scored:
            print(table_text(scored, [run.name for run in group]), end="\n\n")
        for run in group:
            if run.left.results is None:
                print(run.diagnosed.lines()[0], end="\n\n")
    for said in apart(groups):
        print(said, end="\n\n")
    write_runs_page(path, runs, num_samples=num_samples)
    print(path)
    return 0


def _name_of(folder: Path) -> str:
    """The recipe's name; of one of its runs that is not named as the latest, with the run's."""
    return f"{folder.parents[1].name} {folder.name}" if folder.parent.name == RUNS else folder.name


def _write_page(
    path: Path, left: Left, diagnosed: Diagnosed, notice: str, *, num_samples: int
) -> None:
    from unsup_asr.report.page.run import write_run_page  # draws: imports matplotlib

    said = None
    if left.results is not None:
        said = {sample.utterance_id: sample for sample in left.results.samples}
    system = left.final_stage or "the last system"
    samples = read_samples({system: left.stages}, said, num_samples=num_samples)
    write_run_page(path, left, diagnosed, samples, notice=notice)


def _diagnosed(folder: Path, left: Left) -> tuple[Diagnosed, str]:
    """What is known of what the page shows; and of a run begun since then, in a sentence."""
    found = examine(folder)
    latest = folder / LATEST
    if found.state not in ("broken", "running") or not latest.is_dir():
        return found, ""
    notice = f"Of a run begun since then: {SAYS[found.state]}, {found.stage}."
    if found.error:
        notice += f" {found.error}"
    return replace(examine(latest.resolve()), experiment=left.name), notice


def _run_of(root: Path) -> tuple[Results, RunRecord | None] | None:
    """The results of an experiment's latest run and what made them; None where there are none."""
    run = run_folder(root)
    if not (run / "evaluate" / "results.json").is_file():
        return None
    return load_results(run), read_run(run)


def _experiment(recipe: str, exp: Path) -> Path:
    """The recipe's folder of results, or one of its runs, which may be named by their paths; the
    recipe itself need not be there any more.
    """
    path = Path(recipe)
    if path.name != recipe and path.is_dir() and not (path / CONFIG_NAME).is_file():
        return path
    if path.name == recipe and (exp / recipe).exists():
        return experiment_root(exp, recipe)
    try:
        return experiment_root(exp, _name_in(recipe_folder(recipe) / CONFIG_NAME))
    except RecipeError as error:
        raise UsageError(str(error)) from error


def _name_in(file: Path) -> str:
    try:
        name = OmegaConf.select(OmegaConf.load(file), "recipe")
    except (OmegaConfBaseException, YAMLError) as error:
        raise RecipeError(f"{file}: {first_lines(error)}") from error
    check_recipe_name(name, f"{file}: recipe")
    return str(name)
