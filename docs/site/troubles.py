"""The entries of docs/troubleshooting.md: which part of the page a module's errors belong to.

A part about errors ends its introduction with a comment that only this reads:
`<!-- said by: unsup_asr/speech lm/arpa.py -->`. The longest path that a module lies under decides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "troubleshooting.md"
_SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_SAID_BY = re.compile(r"<!-- said by: ([^>]*?) -->")
_ENTRY = re.compile(r"^\| `(.+?)` \| (.+) \|$", re.MULTILINE)


@dataclass(frozen=True)
class Section:
    """A part of the page; `places` are paths of folders and modules whose errors it explains."""

    title: str
    anchor: str
    places: tuple[str, ...]
    entries: tuple[str, ...]  # messages, or kinds of diagnosis, that have a row of their own


def sections(page: str | None = None) -> list[Section]:
    """All parts, in the order of the page."""
    text = PAGE.read_text("utf-8") if page is None else page
    found = []
    for title, body in _SECTION.findall(text):
        places = tuple(p for places in _SAID_BY.findall(body) for p in places.split())
        entries = tuple(words.replace("\\|", "|") for words, _ in _ENTRY.findall(body))
        anchor = re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        found.append(Section(title, anchor, places, entries))
    return found


def section_of(path: str, among: Sequence[Section]) -> Section:
    """The part that explains errors of a module; LookupError where none does."""
    matching = [
        (len(place), section)
        for section in among
        for place in section.places
        if path == place or path.startswith(f"{place}/")
    ]
    if not matching:
        raise LookupError(
            f"{path} can fail, and no part of docs/troubleshooting.md is about it; name it (or its "
            "folder) in the comment `said by` of the part where a reader would look"
        )
    return max(matching, key=lambda pair: pair[0])[1]
