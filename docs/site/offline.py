"""What a page would load from elsewhere than the site itself."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

_FOREIGN = re.compile(r"(?:https?:)?//")
_LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "audio": "src"}
_LOADING_LINKS = {"stylesheet", "icon", "preconnect", "preload", "prefetch", "dns-prefetch"}
_IN_STYLE = re.compile(r"""(?:@import\s+|url\(\s*)["']?((?:https?:)?//[^"')\s]+)""")


def requests_outside(site: Path) -> list[str]:
    """`page: address` of all that pages and style sheets below a folder load from elsewhere."""
    found: list[str] = []
    for path in sorted([*site.rglob("*.html"), *site.rglob("*.css")]):
        text = path.read_text("utf-8")
        asked = _IN_STYLE.findall(text)
        if path.suffix == ".html":
            page = _Page()
            page.feed(text)
            asked += page.asked
        found += [f"{path.relative_to(site)}: {address}" for address in asked]
    return found


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        address = values.get(_LOADED.get(tag, ""))
        if tag == "link" and set((values.get("rel") or "").split()) & _LOADING_LINKS:
            address = values.get("href")
        if address and _FOREIGN.match(address):
            self.asked.append(address)
