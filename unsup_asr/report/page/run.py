"""The page of one run: first whether it works and what to do, then samples, figures and tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from unsup_asr.formats.whole import write_whole
from unsup_asr.report import plots
from unsup_asr.report.curves import CurveSet
from unsup_asr.report.diagnosed import Diagnosed
from unsup_asr.report.left import Left
from unsup_asr.report.nulls import NULLS_NOTE, SIGNS_NOTE, map_cells, sign_cells
from unsup_asr.report.page.charts import how_to_read, members_chart, systems_chart
from unsup_asr.report.page.confusions import confusion_parts
from unsup_asr.report.page.document import document, figure, note, nothing, section, table
from unsup_asr.report.page.overview import overview
from unsup_asr.report.page.samples import pairs, sample_parts
from unsup_asr.report.regret import regret_line
from unsup_asr.report.results import SUPERB_ROW, Results
from unsup_asr.report.samples import Samples
from unsup_asr.report.tables import LayerWeights, PopulationResult, iteration_cells
from unsup_asr.report.terminal import SUPERB_NOTE, facts, headline, maps_note, table_cells
from unsup_asr.report.words import WordResults
from unsup_asr.scoring.boundaries import BoundaryScores
from unsup_asr.scoring.reliability import Reliability

_HEADING = re.compile(r'<h2 id="([a-z-]+)">(.*?)</h2>')


def write_run_page(
    path: Path, left: Left, diagnosed: Diagnosed, samples: Samples, *, notice: str = ""
) -> None:
    """Write the page of what one run has left to `path`, whole or not at all; `notice` stands above
    all else.
    """
    results = left.results
    title = headline(results) if results else f"{left.name}: no error rate"
    first = [f'<div class="warning">{escape(notice)}</div>'] if notice else []
    first.append(overview(left, diagnosed))
    sections = [*_sections(left, samples)]
    write_whole(path, document(title, [*first, _contents(sections), *sections]))


def _contents(sections: Sequence[str]) -> str:
    headings = (_HEADING.search(one) for one in sections)
    links = (f'<li><a href="#{h[1]}">{h[2]}</a></li>' for h in headings if h)
    return f'<nav aria-label="on this page"><ul>{"".join(links)}</ul></nav>'


def _sections(left: Left, samples: Samples) -> Iterable[str]:
    results = left.results
    yield section("samples", "Samples to see and hear", *sample_parts(samples))
    if chart := systems_chart({left.name: left}):
        yield section("systems", "From system to system", chart, note(how_to_read()))
    if results is not None:
        yield section("per", "Phone error rate", *_system_table(results))
    if chart := members_chart(left):
        tables = _population_tables(results.population) if results and results.population else ()
        yield section("members", "Members of the game", chart, *tables)
    if results is not None and results.iterations:
        cells = iteration_cells(results.iterations)
        yield section(
            "turns", "Game, HMM, new boundaries", table(*cells, label="turns of game and HMM")
        )
    if results is not None:
        parts = [nothing("confusions")]
        if results.confusion is not None:
            parts = [confusion_parts(results.confusion)]
        yield section("confusions", "Confusions", *parts)
    if results is not None and results.words:
        yield section("words", "Word error rate", *_words(results.words))
    if results is not None and results.maps:
        shown = table(*map_cells(results.maps), label="what clusters can reach")
        yield section("maps", "What clusters can reach", shown, note(maps_note(results)))
    if left.signs:
        shown = table(*sign_cells(left.signs), label="signs without references")
        yield section("signs", "Signs without references", shown, note(SIGNS_NOTE))
    if results is not None and results.boundaries:
        yield section("boundaries", "Boundaries", _boundaries(results.boundaries))
    if results is not None and results.reliability is not None:
        yield section("confidences", "Confidences", _reliability(results.reliability))
    if results is not None and results.layer_weights and len(results.layer_weights.layers) > 1:
        yield section("layers", "Layer weights", _layer_weights(results.layer_weights))
    if results is not None and results.js_divergence:
        yield section("divergence", "Text against decoded speech", *_divergence(results))
    curves = [_curves(one) for one in left.curves] or [nothing("training curves")]
    yield section("curves", "Training curves", *curves)
    if results is not None:
        yield section("conditions", "Conditions and cost", _facts(results))
    if left.wall_by_stage:
        svg = plots.wall_time(left.wall_by_stage)
        yield section("time", "Wall time by stage", figure(svg, label="seconds of each stage"))


def _system_table(results: Results) -> Iterable[str]:
    header, lines = table_cells(results.rows)
    rows = list(results.rows.values())
    chosen = [number for number, row in enumerate(rows) if row.chosen]
    name = f" ({results.criterion_name})" if results.criterion_name else ""
    left = (1, len(header) - 1)
    yield table(header, lines, label="error rates of all systems", left=left, chosen=chosen)
    yield note(
        "ins, del, sub in percent of the reference phones; the interval is a bootstrap over "
        f"utterances. * and shading: chosen without labels, by the unsupervised criterion{name}, "
        "lower is better; rounds of self-training by the bigrams of what they write for speakers "
        "not trained on"
    )
    if cost := regret_line(results.rows):
        yield note(cost.capitalize())
    if any(row.nulls for row in rows):
        yield note(NULLS_NOTE)
    if SUPERB_ROW in results.rows:
        yield note(SUPERB_NOTE)


def _population_tables(population: PopulationResult) -> Iterable[str]:
    yield table(*population.member_cells(), label="members of the game")
    yield table(*population.rule_cells(), label="whom each rule takes", left=(1,))
    yield note("* the rule that the run followed; no rule sees labels, the oracle does")


def _words(words: WordResults) -> Iterable[str]:
    header, lines = words.cells()
    yield table(header, lines, label="word error rates", left=(1, len(header) - 1))
    yield note(words.unknown_summary())
    for utterance_id, said, recognised in words.samples:
        yield note(f"{utterance_id}: said above, recognised below")
        yield pairs(said, recognised, kind="words")


def _boundaries(scores: BoundaryScores) -> str:
    header = ["precision", "recall", "F1", "R-value", "true", "found", "hits"]
    values = (scores.precision, scores.recall, scores.f1, scores.r_value)
    counts = (scores.num_reference, scores.num_found, scores.num_hits)
    line = [*(f"{value:.3f}" for value in values), *map(str, counts)]
    return table(header, [line], label="boundaries of the segments", left=())


def _reliability(found: Reliability) -> str:
    return figure(
        plots.reliability(found.confidences, found.shares_right, found.counts),
        label="share of right phones by their confidence",
        caption=(
            f"Of {sum(found.counts)} recognised phones of the chosen system; dashed: confidences "
            "that are shares. The larger a point, the more phones. They are "
            f"{found.expected_error:.3f} apart in the mean (expected calibration error)"
        ),
    )


def _layer_weights(weights: LayerWeights) -> str:
    return figure(
        plots.layer_weights(weights.layers, weights.weights, weights.shares),
        label="weight and share of each layer",
        caption=(
            "What the supervised baseline by SUPERB's recipe has learned to read. Share: the "
            "weight times the mean length of the layer's frames, of the sum over layers; a layer "
            "of large values is heard at a small weight"
        ),
    )


def _divergence(results: Results) -> Iterable[str]:
    header = ["n", "Jensen-Shannon divergence (bit)"]
    lines = [[str(n), f"{bits:.4f}"] for n, bits in results.js_divergence.items()]
    yield table(header, lines, label="divergence of n-grams", left=())
    yield note(
        "0: the phone n-grams of the text and of the decoded speech are equally frequent; 1: they "
        "share none"
    )


def _curves(curves: CurveSet) -> str:
    svg = plots.curves(
        curves.series,
        title=curves.title,
        x_label=curves.x_label,
        y_label=curves.y_label,
        x_step=curves.x_step,
    )
    ends = (f"{name} ends at {values[-1]:g}" for name, values in curves.series.items() if values)
    return figure(svg, label=f"{curves.title}; {', '.join(ends)}")


def _facts(results: Results) -> str:
    lines = (f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts(results))
    return f"<dl>{''.join(lines)}</dl>"
