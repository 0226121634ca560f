"""The results of a run as a terminal table and as one JSON object."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from unsup_asr.report.nulls import (
    MAPS_NOTE,
    NO_TIMES,
    NULLS_NOTE,
    SIGNS_NOTE,
    map_cells,
    null_cells,
    sign_cells,
    verdict,
    works_cell,
)
from unsup_asr.report.regret import regret_line, regrets
from unsup_asr.report.results import FINAL_ROW, SUPERB_ROW, SUPERVISED_ROW, Results, Row
from unsup_asr.report.tables import iteration_cells
from unsup_asr.scoring.signs import Signs

SUPERB_NOTE = (
    "supervised: the network of self-training, on references. SUPERB recipe: a linear CTC head on "
    "frozen features, at this corpus and its phones, so not a SUPERB number"
)


def report_json(results: Results) -> dict[str, object]:
    """One flat object for scripts; PER in percent, boundaries as fractions, null if unknown."""
    rows, boundaries, final = results.rows, results.boundaries, results.final_row
    return {
        "recipe": results.recipe,
        "seed": results.seed,
        "corpus": results.corpus,
        "test_digest": results.test_digest,
        "per": {name: row.per for name, row in rows.items()},
        "per_interval": {name: [r.interval_low, r.interval_high] for name, r in rows.items()},
        "criterion": {name: _finite_or_none(row.criterion) for name, row in rows.items()},
        "chosen": [name for name, row in rows.items() if row.chosen],
        "regret": regrets(rows),
        "unsupervised_per": rows[final].per if final else None,
        "works": rows[final].works if final else None,
        "nulls": {name: asdict(row.nulls) for name, row in rows.items() if row.nulls},
        "working": {name: row.works for name, row in rows.items()},
        "maps": {scores.system: asdict(scores) for scores in results.maps},
        "signs": signs_json(results.signs),
        "supervised_per": rows[SUPERVISED_ROW].per if SUPERVISED_ROW in rows else None,
        "superb_recipe_per": rows[SUPERB_ROW].per if SUPERB_ROW in rows else None,
        "layer_weights": results.layer_weights.to_json() if results.layer_weights else None,
        "decoding": {name: row.decoding for name, row in rows.items()},
        "fold": results.fold,
        "silence": results.silence,
        "unknown_reference_phones": results.unknown_reference_phones,
        "boundary_precision": boundaries.precision if boundaries else None,
        "boundary_recall": boundaries.recall if boundaries else None,
        "boundary_f1": boundaries.f1 if boundaries else None,
        "boundary_r_value": boundaries.r_value if boundaries else None,
        "js_divergence": {str(n): bits for n, bits in results.js_divergence.items()},
        "wall_s": results.wall_s,
        "wall_by_stage": dict(results.wall_by_stage),
        "ran_on_by_stage": dict(results.ran_on_by_stage),
        "peak_rss_mb": results.peak_rss_mb,
        "num_phones": results.num_phones,
        "train_hours": results.train_hours,
        "num_train_speakers": results.num_train_speakers,
        "diagnosis": list(results.diagnosis),
        "population": results.population.to_json() if results.population else None,
        **_words_json(results),
    }


def terminal_table(results: Results) -> str:
    """The table of systems and what else a reader asks first, aligned for a terminal."""
    parts = [headline(results), "", *_system_lines(results.rows)]
    if any(row.chosen for row in results.rows.values()):
        name = f" ({results.criterion_name})" if results.criterion_name else ""
        parts.append(
            f"* chosen without labels: by the unsupervised criterion{name}, lower is better; "
            "rounds of self-training by the bigrams of what they write for speakers not trained on"
        )
        parts += [line for line in [regret_line(results.rows)] if line]
    if any(row.nulls for row in results.rows.values()):
        parts.append(NULLS_NOTE)
    if SUPERB_ROW in results.rows:
        parts.append(SUPERB_NOTE)
    if results.maps:
        parts += ["", *aligned(*map_cells(results.maps), left={0}), maps_note(results)]
    if results.signs:
        parts += ["", *signs_table(results.signs)]
    if results.words:
        parts += ["", *aligned(*results.words.cells(), left={0, 1, 7})]
    if results.population:
        parts += ["", "The game's members, and whom each label-free rule takes:"]
        parts += aligned(*results.population.member_cells(), left=set())
        parts += ["", *aligned(*results.population.rule_cells(), left={0, 1})]
    if results.iterations:
        parts += ["", "Game, HMM, new boundaries (PER % on test):"]
        parts += aligned(*iteration_cells(results.iterations), left=set())
    parts += ["", *(f"{name:<20}{value}" for name, value in facts(results))]
    parts += _warnings(results.diagnosis)
    return "\n".join(parts)


def unscored_report(recipe: str, signs: Mapping[str, Signs], diagnosis: Sequence[str]) -> str:
    """What is known of a run without references."""
    parts = [f"{recipe}: no references, so no error rate; what can be said without them:", ""]
    return "\n".join([*parts, *signs_table(signs), *_warnings(diagnosis)])


def signs_table(signs: Mapping[str, Signs]) -> list[str]:
    """Lines of the table of signs, with what they are."""
    return [*aligned(*sign_cells(signs), left={0}), SIGNS_NOTE]


def signs_json(signs: Mapping[str, Signs]) -> dict[str, object]:
    """By system, the text's as 'text'."""
    return {name: of_one.to_json() for name, of_one in signs.items()}


def maps_note(results: Results) -> str:
    """What the table of maps shows, or why half of it is empty."""
    return MAPS_NOTE if results.maps[0].majority_map is not None else f"{MAPS_NOTE}. {NO_TIMES}"


def headline(results: Results) -> str:
    """One line: recipe, seed, final unsupervised PER and the supervised one."""
    final = results.final_row
    text = f"{results.recipe}, seed {results.seed}: "
    text += f"unsupervised PER {results.rows[final].per:.1f} %" if final else "no final system"
    if SUPERVISED_ROW in results.rows:
        text += f", supervised {results.rows[SUPERVISED_ROW].per:.1f} %"
    if SUPERB_ROW in results.rows:
        text += f", SUPERB recipe {results.rows[SUPERB_ROW].per:.1f} %"
    said = verdict(results)
    return f"{text}; {said.split(':')[0]}" if said else text


def facts(results: Results) -> list[tuple[str, str]]:
    """Pairs of name and value: the conditions, boundaries, divergence and cost of the run."""
    facts = [("nulls", said)] if (said := verdict(results)) else []
    facts += [
        (
            "corpus",
            f"{results.corpus}: {results.train_hours:.2f} h of training audio, "
            f"{results.num_train_speakers} speakers, {results.num_phones} phones",
        )
    ]
    if (share := results.unknown_reference_phones) is not None:
        facts.append(("references", f"{100 * share:.1f} % of their phones are not in the text"))
    if scores := results.boundaries:
        text = f"F1 {scores.f1:.3f} (precision {scores.precision:.3f}, recall {scores.recall:.3f})"
        text += f", R-value {scores.r_value:.3f} at {1000 * scores.tolerance_s:.0f} ms"
        facts.append(("boundaries", text))
    if results.js_divergence:
        values = (f"{n}-gram {bits:.3f}" for n, bits in results.js_divergence.items())
        facts.append(("JS divergence (bit)", ", ".join(values)))
    if (weights := results.layer_weights) and len(weights.layers) > 1:
        ranked = sorted(zip(weights.weights, weights.layers, strict=True), reverse=True)
        values = (f"{layer}: {weight:.3f}" for weight, layer in ranked[:4])
        facts.append(("layer weights", ", ".join(values)))
    if results.words:
        facts.append(("unknown words", results.words.unknown_summary()))
        if results.words.tuning:
            facts.append(("word weights", results.words.tuning_summary()))
    cost = f"{results.wall_s:.0f} s"
    if results.peak_rss_mb is not None:
        cost += f", {results.peak_rss_mb:.0f} MB at the most"
    if results.ran_on_by_stage:
        cost += f"; {ran_on(results.ran_on_by_stage)}"
    return [*facts, ("cost", cost)]


def ran_on(by_stage: Mapping[str, str]) -> str:
    """One clause: which stages computed on a GPU, or that none did."""
    devices = sorted(set(by_stage.values()) - {"cpu"})
    if not devices:
        return "all on the CPU"
    stages = (
        (device, [name for name in by_stage if by_stage[name] == device]) for device in devices
    )
    found = (f"{', '.join(names)} on {device}" for device, names in stages)
    return "; ".join([*found, "the rest on the CPU"])


def table_cells(rows: dict[str, Row]) -> tuple[list[str], list[list[str]]]:
    """Column names, and one list of cells a row; edits in percent of the reference length.

    Nulls and whether a system works stand beside its rate where any row has nulls.
    """
    has_nulls = any(row.nulls for row in rows.values())
    nulls = ["swap", "random", "works"] if has_nulls else []
    header = ["", "system", "PER %", "95 % interval", *nulls]
    header += ["ins", "del", "sub", "criterion", "scored on"]
    cells = []
    for name, row in rows.items():
        criterion = "" if row.criterion is None else f"{row.criterion:.3f}"
        chosen = "*" if row.chosen else ""
        rate, interval, *edits = row.cells()
        beside = [*null_cells(row), works_cell(row)] if has_nulls else []
        cells.append([chosen, name, rate, interval, *beside, *edits, criterion, row.scored_on])
    return header, cells


def aligned(header: list[str], cells: list[list[str]], *, left: set[int]) -> list[str]:
    """Lines of a table, columns two spaces apart; the columns in `left` lean left."""
    widths = [max(len(line[i]) for line in [header, *cells]) for i in range(len(header))]
    lines = [
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in [header, *cells]
    ]
    return [lines[0], "─" * max(len(line) for line in lines), *lines[1:]]


def _words_json(results: Results) -> dict[str, object]:
    """What the flat object says of words; nulls where the run has none."""
    words = results.words
    rows = words.rows if words else {}
    return {
        "wer": {name: row.wer for name, row in rows.items()},
        "wer_interval": {name: [r.interval_low, r.interval_high] for name, r in rows.items()},
        "unsupervised_wer": rows[FINAL_ROW].wer if FINAL_ROW in rows else None,
        "supervised_wer": rows[SUPERVISED_ROW].wer if SUPERVISED_ROW in rows else None,
        "unknown_word_rate": words.unknown_rate if words else None,
        "unknown_words": dict(words.unknown_words) if words else None,
    }


def _system_lines(rows: dict[str, Row]) -> list[str]:
    header, cells = table_cells(rows)
    return aligned(header, cells, left={0, 1, len(header) - 1})


def _warnings(diagnosis: Sequence[str]) -> list[str]:
    return (
        ["", "Why this run may fail:", *(f"  ! {line}" for line in diagnosis)] if diagnosis else []
    )


def _finite_or_none(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
