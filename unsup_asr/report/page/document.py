"""One HTML file with all in it, and the parts that its sections are made of."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; "
    "base-uri 'none'; form-action 'none'; script-src 'sha256-{digest}'"
)


def style() -> str:
    """The style sheet that every page has."""
    return _part("style.css")


def sound_script() -> str:
    """The script by which a page shows sound and lets it be heard."""
    return _part("sound.js")


def document(title: str, sections: Iterable[str]) -> str:
    """A page that asks nobody for anything, and runs no script but its own.

    `title` is plain text; `sections` are HTML.
    """
    script = "\n" + sound_script() + _part("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY.format(digest=digest)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n"
        f"<style>\n{style()}{_part('report.css')}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(sections)
        + f"\n</main>\n<script>{script}</script>\n</body>\n</html>\n"
    )


def section(name: str, title: str, *parts: str) -> str:
    """A section with its heading, which `#name` leads to."""
    heading = f'<h2 id="{name}">{escape(title)}</h2>'
    return "\n".join([f'<section aria-labelledby="{name}">', heading, *parts, "</section>"])


def table(
    header: Sequence[str],
    lines: Sequence[Sequence[str]],
    *,
    label: str,
    left: Iterable[int] = (0,),
    chosen: Iterable[int] = (),
) -> str:
    """A table of plain text, which scrolls in a box of its own; columns in `left` lean left, lines
    in `chosen` are marked.
    """
    leaning, marked = set(left), set(chosen)
    head = _cells("th", header, leaning)
    body = "\n".join(
        f"<tr{_CHOSEN if number in marked else ''}>{_cells('td', line, leaning)}</tr>"
        for number, line in enumerate(lines)
    )
    return scrolling(
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>", label=label
    )


def scrolling(content: str, *, label: str) -> str:
    """What may be wider than a page, in a box that keys can scroll too."""
    opening = f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}">'
    return f"{opening}{content}</div>"


def figure(svg: str, *, label: str, caption: str = "") -> str:
    """A picture; `label` says in words what it shows."""
    drawn = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)
    below = f"<figcaption>{escape(caption)}.</figcaption>" if caption else ""
    return f"<figure>{scrolling(drawn, label=label)}{below}</figure>"


def note(text: str) -> str:
    """A sentence in small print, without its full stop."""
    return f'<p class="note">{escape(text)}.</p>'


def nothing(what: str) -> str:
    """Where a section has nothing to show."""
    return note(f"This run has no {what}")


def unfolded(summary: str, content: str) -> str:
    """What is shown on demand."""
    return f"<details><summary>{escape(summary)}</summary>\n{content}\n</details>"


_CHOSEN = ' class="chosen"'


def _cells(tag: str, cells: Sequence[str], left: set[int]) -> str:
    return "".join(
        f"<{opening}{' class=left' if place in left else ''}>{escape(cell)}</{opening[:2]}>"
        for place, cell in enumerate(cells)
        for opening in ['th scope="col"' if tag == "th" and cell else "td"]
    )


def _part(name: str) -> str:
    return files("unsup_asr.report.page").joinpath(name).read_text("utf-8")
