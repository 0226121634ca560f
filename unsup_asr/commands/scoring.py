"""`evaluate`, `compare` and `report`: what was reached."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from unsup_asr.commands import UsageError
from unsup_asr.engine.recipe_files import (
    CONFIG_NAME,
    RecipeError,
    check_recipe_name,
    first_lines,
    recipe_folder,
)
from unsup_asr.engine.runs import read_run
from unsup_asr.formats.finished import as_written
from unsup_asr.formats.hypotheses import read_hypotheses, read_transcripts
from unsup_asr.formats.names import shown
from unsup_asr.formats.whole import write_whole
from unsup_asr.report.compare import compare as compared
from unsup_asr.report.compare import compare_apart
from unsup_asr.report.markdown import results_markdown
from unsup_asr.report.results import Results, row_from_counts
from unsup_asr.report.run import load_assets, load_results, load_unscored, run_folder
from unsup_asr.report.terminal import (
    aligned,
    report_json,
    signs_json,
    table_cells,
    terminal_table,
    unscored_report,
)
from unsup_asr.scoring.folds import read_fold_table
from unsup_asr.scoring.metrics import per_utterance
from unsup_asr.types import Hypothesis, RunRecord, Transcript


def evaluate(arguments: argparse.Namespace) -> int:
    """Print the error rate with its edits and interval, and on demand each utterance's."""
    references = read_transcripts(as_written(Path(arguments.ref)))
    hypotheses = read_hypotheses(as_written(Path(arguments.hyp)))
    if arguments.fold:
        table = read_fold_table(arguments.fold)
        references = [Transcript(r.utterance_id, table.fold(r.phones)) for r in references]
        hypotheses = [Hypothesis(h.utterance_id, table.fold(h.phones)) for h in hypotheses]
    counts = per_utterance(
        references,
        hypotheses,
        reference_source=arguments.ref,
        hypothesis_source=arguments.hyp,
    )
    if arguments.utterances:
        print("utterance_id\tinsertions\tdeletions\tsubstitutions\treference_length")
        for utterance_id, c in counts.items():
            values = (c.insertions, c.deletions, c.substitutions, c.reference_length)
            print("\t".join([shown(utterance_id), *map(str, values)]))
        print()
    row = row_from_counts(list(counts.values()), split=Path(arguments.ref).stem, seed=0)
    print("\n".join(aligned(*table_cells({shown(Path(arguments.hyp).stem): row}), left={0, 1})))
    return 0


def compare(arguments: argparse.Namespace) -> int:
    """Print results side by side."""
    paths = [Path(path) for path in arguments.paths]
    if missing := [path for path in paths if not path.exists()]:
        raise UsageError(
            f"{missing[0]} does not exist; expected exp/<recipe>, one of "
            "exp/<recipe>/runs, or a results.json"
        )
    show = compare_apart if arguments.show_apart else compared
    print(show(paths, published=arguments.published))
    return 0


def report(arguments: argparse.Namespace) -> int:
    """Print the results of a recipe and write its report.html; or write RESULTS.md of several."""
    exp = Path(arguments.exp)
    if arguments.results:
        path = Path(arguments.results)
        runs = {name: _run_of(exp / name) for name in arguments.recipes}
        write_whole(path, results_markdown(runs))
        print(path)
        return 0
    if len(arguments.recipes) > 1:
        raise UsageError(
            f"one recipe at a time (found {' '.join(arguments.recipes)}); several with --results"
        )
    folder = _experiment(arguments.recipes[0], exp)
    run = run_folder(folder)
    if (unscored := load_unscored(run)) is not None:
        signs, diagnosis = unscored
        if arguments.json:
            found = {"recipe": folder.name, "signs": signs_json(signs), "diagnosis": diagnosis}
            print(json.dumps(found, ensure_ascii=False, indent=1))
        else:
            print(unscored_report(folder.name, signs, diagnosis))
        return 0
    results = load_results(run)
    if arguments.json:
        print(json.dumps(report_json(results), ensure_ascii=False, indent=1))
        return 0
    from unsup_asr.report.html import write_html  # draws: imports matplotlib

    print(terminal_table(results))
    write_html(results, load_assets(run), folder / "report.html")
    print(f"\n{folder / 'report.html'}")
    return 0


def _run_of(root: Path) -> tuple[Results, RunRecord | None] | None:
    """The results of an experiment's latest run and what made them; None where there are none."""
    run = run_folder(root)
    if not (run / "evaluate" / "results.json").is_file():
        return None
    return load_results(run), read_run(run)


def _experiment(recipe: str, exp: Path) -> Path:
    """The recipe's folder of results; the recipe itself need not be there any more."""
    if Path(recipe).name == recipe and (exp / recipe / "latest").is_dir():
        return exp / recipe
    try:
        return exp / _name_in(recipe_folder(recipe) / CONFIG_NAME)
    except RecipeError as error:
        raise UsageError(str(error)) from error


def _name_in(file: Path) -> str:
    try:
        name = OmegaConf.select(OmegaConf.load(file), "recipe")
    except (OmegaConfBaseException, YAMLError) as error:
        raise RecipeError(f"{file}: {first_lines(error)}") from error
    check_recipe_name(name, f"{file}: recipe")
    return str(name)
