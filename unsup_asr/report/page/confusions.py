"""The confusion matrix as a table; a cell says what it is, under the mouse or by arrow keys."""

from __future__ import annotations

from html import escape

from unsup_asr.report.page.document import note, scrolling
from unsup_asr.scoring.metrics import Confusions

_SAYS = "confusions-say"
_HOW = (
    "Rows: phones that were said, the last one inserted phones; columns: what was recognised, the "
    "last one nothing. The deeper the colour, the larger the share of the row. Point at a cell, or "
    "go to it by Tab and the arrows"
)


def confusion_parts(confusions: Confusions) -> str:
    """The table, what the cell pointed at says, and how to read both."""
    labels, nothing = confusions.labels, len(confusions.labels) - 1
    totals = confusions.counts_RH.sum(axis=1)
    head = "".join(
        f'<th scope="col">{_shown(label, place == nothing)}</th>'
        for place, label in enumerate(labels)
    )
    lines = [f"<thead><tr><td>said</td>{head}</tr></thead>\n<tbody>"]
    for row, said in enumerate(labels):
        cells = "".join(
            _cell(
                int(count),
                int(totals[row]),
                said=None if row == nothing else said,
                heard=None if column == nothing else heard,
            )
            for column, (heard, count) in enumerate(
                zip(labels, confusions.counts_RH[row], strict=True)
            )
        )
        lines.append(f'<tr><th scope="row">{_shown(said, row == nothing)}</th>{cells}</tr>')
    table = (
        f'<table class="confusions" aria-describedby="{_SAYS}">'
        + "\n".join(lines)
        + "\n</tbody></table>"
    )
    says = f'<output id="{_SAYS}" class="says"></output>'
    return "\n".join([says, scrolling(table, label="confusions of phones"), note(_HOW)])


def _cell(count: int, total: int, *, said: str | None, heard: str | None) -> str:
    if not count:
        return "<td></td>"
    if said is None:
        title = f"nothing said, {heard} heard: {count}"
    elif heard is None:
        title = f"true {said} missed: {count} of {total}"
    elif said == heard:
        title = f"true {said} heard as it is: {count} of {total}"
    else:
        title = f"true {said} heard as {heard}: {count} of {total}"
    share = count / max(total, 1)
    return f'<td style="--share: {share:.3f}" title="{escape(title)}">{count}</td>'


def _shown(label: str, is_nothing: bool) -> str:
    return "–" if is_nothing else f'<span lang="und-fonipa">{escape(label)}</span>'
