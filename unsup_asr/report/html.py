"""report.html: one file with every table and picture in it, nothing fetched from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from unsup_asr.formats.whole import write_whole
from unsup_asr.report import plots
from unsup_asr.report.assets import Assets, CurveSet, SpectrogramExample
from unsup_asr.report.nulls import NULLS_NOTE, SIGNS_NOTE, map_cells, sign_cells
from unsup_asr.report.results import SUPERB_ROW, Results, SampleTranscript
from unsup_asr.report.tables import LayerWeights, PopulationResult, iteration_cells
from unsup_asr.report.terminal import SUPERB_NOTE, facts, headline, maps_note, table_cells
from unsup_asr.report.words import WordResults
from unsup_asr.scoring.metrics import align
from unsup_asr.scoring.reliability import Reliability

_STYLE = """
body { max-width: 58rem; margin: 2rem auto 4rem; padding: 0 1rem; background: #fff; color: #222;
       font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin-bottom: .2rem; }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; border-bottom: 1px solid #ddd; }
p.note { color: #666; margin: .3rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; text-align: right; white-space: nowrap;
         border-bottom: 1px solid #eee; }
th { font-weight: 600; border-bottom: 1px solid #999; }
.systems :is(td, th):is(:nth-child(2), :last-child) { text-align: left; }
tr.chosen td { background: #eef5fb; }
.scroll { overflow-x: auto; }
img { max-width: 100%; height: auto; display: block; margin: .5rem 0; }
.warning { border-left: 4px solid #d55e00; background: #fdf3ec; padding: .4rem .8rem;
           margin: .4rem 0; }
.pair { display: inline-block; text-align: center; min-width: 1.1rem; padding: 0 .12rem;
        margin-bottom: .5rem;
        font-family: "DejaVu Sans", "Noto Sans", sans-serif; line-height: 1.35; }
.pair span { display: block; min-height: 1.35em; }
.words .pair { padding: 0 .3rem; }
.wrong span { background: #fbe3d6; }
.inserted span { background: #f6e6f1; }
.deleted span { background: #e4e4e4; }
"""


_IPA = ' lang="und-fonipa"'


def write_html(results: Results, assets: Assets, path: Path) -> None:
    """Write the report of one run to `path`, whole or not at all."""
    body = "\n".join(_sections(results, assets))
    text = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{escape(headline(results))}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )
    write_whole(path, text)


def _sections(results: Results, assets: Assets) -> Iterable[str]:
    yield f"<h1>{escape(headline(results))}</h1>"
    for name, value in facts(results):
        yield f'<p class="note">{escape(name)}: {escape(value)}</p>'
    for message in results.diagnosis:
        yield f'<div class="warning">{escape(message)}</div>'
    yield "<h2>Phone error rate</h2>" + _system_table(results)
    if results.maps:
        table = _table(*map_cells(results.maps))
        yield "<h2>What clusters can reach</h2>" + table + _note(maps_note(results))
    if results.signs:
        table = _table(*sign_cells(results.signs))
        yield "<h2>Signs without references</h2>" + table + _note(SIGNS_NOTE)
    if results.words:
        yield "<h2>Word error rate</h2>" + _word_section(results.words)
    if results.population:
        yield "<h2>Members of the game</h2>" + _population_tables(results.population)
    if results.iterations:
        yield "<h2>Game, HMM, new boundaries</h2>" + _table(*iteration_cells(results.iterations))
    if results.layer_weights and len(results.layer_weights.layers) > 1:
        yield "<h2>Layer weights</h2>" + _layer_weights(results.layer_weights)
    yield "<h2>Training curves</h2>" + _curve_images(assets.curves)
    yield "<h2>Boundaries</h2>" + _boundary_section(results, assets.spectrogram)
    yield "<h2>Confusions</h2>" + _confusion_image(results)
    if assets.reliability is not None:
        yield "<h2>Confidences</h2>" + _reliability(assets.reliability)
    yield "<h2>Sample transcripts</h2>" + _transcripts(results.samples)
    yield "<h2>Text against decoded speech</h2>" + _divergence_table(results)
    yield "<h2>Wall time by stage</h2>" + _wall_time_image(results)


def _system_table(results: Results) -> str:
    header, cells = table_cells(results.rows)
    chosen = [row.chosen for row in results.rows.values()]
    lines = [_table_row("th", header)]
    lines += [
        _table_row("td", line, row_class="chosen" if is_chosen else "")
        for line, is_chosen in zip(cells, chosen, strict=True)
    ]
    name = f" ({escape(results.criterion_name)})" if results.criterion_name else ""
    return (
        f'<div class="scroll"><table class="systems">{"".join(lines)}</table></div>'
        '<p class="note">ins, del, sub in percent of the reference phones; the interval is a '
        "bootstrap over utterances. * and shading: chosen without labels, by the unsupervised "
        f"criterion{name}, lower is better; rounds of self-training by the bigrams of what they "
        "write for speakers not trained on.</p>"
        + (_note(NULLS_NOTE) if any(row.nulls for row in results.rows.values()) else "")
        + (_note(SUPERB_NOTE) if SUPERB_ROW in results.rows else "")
    )


def _word_section(words: WordResults) -> str:
    header, cells = words.cells()
    lines = [_table_row("th", header), *(_table_row("td", line) for line in cells)]
    return (
        f'<div class="scroll"><table class="systems">{"".join(lines)}</table></div>'
        f'<p class="note">{escape(words.unknown_summary())}</p>'
        + _transcripts((SampleTranscript(*sample) for sample in words.samples), kind="words")
    )


def _table(header: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    lines = [_table_row("th", header), *(_table_row("td", line) for line in cells)]
    return f'<div class="scroll"><table>{"".join(lines)}</table></div>'


def _population_tables(population: PopulationResult) -> str:
    tables = []
    for header, cells in (population.member_cells(), population.rule_cells()):
        tables.append(_table(header, cells))
    note = "* the rule that the run followed; no rule sees labels, the oracle does"
    return "\n".join([*tables, f'<p class="note">{note}</p>'])


def _layer_weights(weights: LayerWeights) -> str:
    image = plots.layer_weights(weights.layers, weights.weights, weights.shares)
    note = (
        "What the supervised baseline by SUPERB's recipe has learned to read. Share: the weight "
        "times the mean length of the layer's frames, of the sum over layers; a layer of large "
        "values is heard at a small weight."
    )
    return _image(image, alt="weight and share of each layer") + f'<p class="note">{note}</p>'


def _curve_images(curve_sets: Iterable[CurveSet]) -> str:
    images = [
        _image(
            plots.curves(
                curves.series,
                title=curves.title,
                x_label=curves.x_label,
                y_label=curves.y_label,
                x_step=curves.x_step,
            ),
            alt=f"training curves: {curves.title}",
        )
        for curves in curve_sets
    ]
    return "\n".join(images) or _nothing("training curves")


def _boundary_section(results: Results, example: SpectrogramExample | None) -> str:
    lines = []
    if scores := results.boundaries:
        header = ["precision", "recall", "F1", "R-value", "true", "found", "hits"]
        values = (scores.precision, scores.recall, scores.f1, scores.r_value)
        counts = (scores.num_reference, scores.num_found, scores.num_hits)
        cells = [f"{value:.3f}" for value in values] + [str(count) for count in counts]
        lines.append(f"<table>{_table_row('th', header)}{_table_row('td', cells)}</table>")
    if example is not None:
        image = plots.spectrogram(
            example.log_mel_TF,
            shift_s=example.shift_s,
            true_boundaries_s=example.true_boundaries_s,
            found_boundaries_s=example.found_boundaries_s,
            phones=example.phones,
            title=example.utterance_id,
        )
        lines.append(_image(image, alt="log mel spectrogram with true and found boundaries"))
    return "\n".join(lines) or _nothing("aligned references")


def _confusion_image(results: Results) -> str:
    if results.confusion is None:
        return _nothing("confusion matrix")
    image = plots.confusion(results.confusion.counts_RH, results.confusion.labels)
    return _image(image, alt="confusion matrix of phones, rows are references")


def _reliability(found: Reliability) -> str:
    image = plots.reliability(found.confidences, found.shares_right, found.counts)
    return _image(image, alt="share of right phones by their confidence") + _note(
        f"of {sum(found.counts)} recognised phones of the chosen system; dashed: confidences that "
        "are shares. The larger a point, the more phones. They are "
        f"{found.expected_error:.3f} apart in the mean (expected calibration error)"
    )


def _transcripts(samples: Iterable[SampleTranscript], *, kind: str = "phones") -> str:
    lines = [
        f'<p class="note">{escape(sample.utterance_id)}: said above, recognised below</p>'
        f'<div class="{kind}"{_IPA if kind == "phones" else ""}>{"".join(_pairs(sample))}</div>'
        for sample in samples
    ]
    if not lines:
        return _nothing("sample transcripts")
    legend = '<p class="note">orange: taken for another; grey: missed; pink: inserted</p>'
    return "\n".join([legend, *lines])


def _pairs(sample: SampleTranscript) -> Iterable[str]:
    for said, recognised in align(sample.reference, sample.hypothesis):
        kind = "pair"
        if said is None:
            kind += " inserted"
        elif recognised is None:
            kind += " deleted"
        elif said != recognised:
            kind += " wrong"
        above, below = escape(said or "·"), escape(recognised or "·")
        yield f'<div class="{kind}"><span>{above}</span><span>{below}</span></div>'


def _divergence_table(results: Results) -> str:
    if not results.js_divergence:
        return _nothing("n-gram divergence")
    header = ["n", "Jensen-Shannon divergence (bit)"]
    rows = [_table_row("td", [str(n), f"{bits:.4f}"]) for n, bits in results.js_divergence.items()]
    return (
        f"<table>{_table_row('th', header)}{''.join(rows)}</table>"
        '<p class="note">0: the phone n-grams of the text and of the decoded speech are equally '
        "frequent; 1: they share none.</p>"
    )


def _wall_time_image(results: Results) -> str:
    if not results.wall_by_stage:
        return _nothing("wall times")
    return _image(plots.wall_time(results.wall_by_stage), alt="seconds by stage")


def _table_row(tag: str, cells: Iterable[str], *, row_class: str = "") -> str:
    opening = f'<tr class="{row_class}">' if row_class else "<tr>"
    return opening + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _image(png: bytes, *, alt: str) -> str:
    data = base64.b64encode(png).decode("ascii")
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{data}">'


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}.</p>'


def _nothing(what: str) -> str:
    return f'<p class="note">This run has no {what}.</p>'
