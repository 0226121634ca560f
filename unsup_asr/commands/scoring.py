"""`evaluate` and `compare`: how many phones are right, and results side by side."""

from __future__ import annotations

import argparse
from pathlib import Path

from unsup_asr.commands import UsageError
from unsup_asr.formats.finished import as_written
from unsup_asr.formats.hypotheses import read_hypotheses, read_transcripts
from unsup_asr.formats.names import shown
from unsup_asr.report.compare import compare as compared
from unsup_asr.report.compare import compare_apart
from unsup_asr.report.results import row_from_counts
from unsup_asr.report.terminal import aligned, table_cells
from unsup_asr.scoring.folds import read_fold_table
from unsup_asr.scoring.metrics import per_utterance
from unsup_asr.types import Hypothesis, Transcript


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
