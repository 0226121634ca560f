"""What the documentation site has beside the pages of docs/; mkdocs runs it at each build.

Pages of other folders (recipes, CONTRIBUTING, CHANGELOG), the reference of every module, the list
of all messages, formulas as MathML, and a check that no page makes a reader's browser ask others.
"""

from __future__ import annotations

import html
import os
import posixpath
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_HERE = Path(__file__).resolve().parent
ROOT = _HERE.parents[1]
sys.path.insert(0, str(_HERE))  # mkdocs runs a hook by its file

import messages  # noqa: E402
import offline  # noqa: E402
import troubles  # noqa: E402

_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
_BLOCK = re.compile(r'<div class="arithmatex">\\\[(.*?)\\\]</div>', re.DOTALL)
_MESSAGES = "messages.md"
_STYLE = "site.css"
_BOOSTS = {
    "reference/": 0.2,
    _MESSAGES: 2.0,
    "troubleshooting.md": 4.0,
}  # what a search finds first
_PUBLISHED = "<!-- the rows of unsup_asr/report/published.tsv stand here on the site -->"
_CODE = ("segmentation", "gan", "lm", "unsup_asr")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fills the two lists of the navigation that follow from the tree: `Recipes`, `Reference`."""
    recipes = [{Path(uri).stem: uri} for uri in _elsewhere() if uri.startswith("recipes/")]
    reference = [{Path(uri).stem: uri} for uri in _reference()]
    _fill(config.nav, {"Recipes": recipes, "Reference": reference})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are no files of docs/."""
    for uri, origin in _elsewhere().items():
        files.append(File.generated(config, uri, content=(ROOT / origin).read_text("utf-8")))
    for uri, modules in _reference().items():
        files.append(File.generated(config, uri, content=_reference_page(uri, modules)))
    files.append(File.generated(config, _MESSAGES, content=_messages_page()))
    files.append(File.generated(config, _STYLE, content=(_HERE / _STYLE).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links to files of the repository become links to their pages, or the words alone."""
    here = page.file.src_uri
    for place, boost in _BOOSTS.items():
        if here.startswith(place):
            page.meta["search"] = {"boost": boost}
    markdown = markdown.replace(_PUBLISHED, _published_table())
    origin = _elsewhere().get(here, f"docs/{here}")
    if here.startswith("reference/") or here == _MESSAGES:
        return markdown
    parts: list[str] = []
    at = 0
    for fence in _FENCE.finditer(markdown):
        parts += [_linked(markdown[at : fence.start()], here, origin, files), fence[0]]
        at = fence.end()
    return "".join([*parts, _linked(markdown[at:], here, origin, files)])


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Formulas become MathML, which browsers draw themselves."""
    content = _INLINE.sub(lambda found: mathml(html.unescape(found[1])), content)
    return _BLOCK.sub(lambda found: mathml(html.unescape(found[1]), display="block"), content)


def on_post_build(config: MkDocsConfig) -> None:
    """PluginError where a page would load anything from elsewhere."""
    if asked := offline.requests_outside(Path(config.site_dir)):
        raise PluginError("a reader's browser would ask others:\n  " + "\n  ".join(asked))


def _fill(nav: Any, lists: Mapping[str, list[dict[str, str]]]) -> None:
    for entry in nav:
        for title, inside in entry.items():
            if title in lists:
                entry[title] = lists[title]
            elif isinstance(inside, list):
                _fill(inside, lists)


def mathml(formula: str, *, display: Literal["inline", "block"] = "inline") -> str:
    """PluginError where the converter leaves a command as it is, as it does unknown ones."""
    drawn = convert(formula, display=display)
    if "\\" in drawn:
        raise PluginError(f"a formula that cannot be drawn: {formula.strip()}")
    return drawn


@cache
def _elsewhere() -> Mapping[str, str]:
    """Pages of the site by where they are read from, in the repository."""
    pages = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
    for readme in sorted((ROOT / "recipes").glob("*/README.md")):
        name = readme.parent.name
        pages[f"recipes/{name}.md"] = f"recipes/{name}/README.md"
        if readme.with_name("RESULTS.md").is_file():
            pages[f"recipes/{name}-results.md"] = f"recipes/{name}/RESULTS.md"
    return pages


@cache
def _reference() -> Mapping[str, tuple[str, ...]]:
    """Modules by the page that they stand on: one a package, and one a room of `unsup_asr`."""
    pages: dict[str, list[str]] = {}
    for package in _CODE:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if parts[-1] in ("__init__", "__main__"):
                continue
            pages.setdefault(f"reference/{'.'.join(parts[:-1])}.md", []).append(".".join(parts))
    return {uri: tuple(modules) for uri, modules in pages.items()}


def _reference_page(uri: str, modules: tuple[str, ...]) -> str:
    title = uri.removeprefix("reference/").removesuffix(".md")
    return "\n\n".join([f"# {title}", *(f"::: {module}" for module in modules)]) + "\n"


def _linked(text: str, here: str, origin: str, files: Files) -> str:
    def replace(found: re.Match[str]) -> str:
        picture, words, target, anchor = found[1], found[2], found[3], found[4] or ""
        repository = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
        uri = _uri_of(repository)
        if uri is None:
            return words
        if files.get_file_from_path(uri) is None:
            return found[0]  # mkdocs says that it leads nowhere
        if uri.startswith("reference/"):
            anchor = f"#{repository.removesuffix('.py').replace('/', '.')}"
        away = os.path.relpath(uri, posixpath.dirname(here) or ".")
        return f"{picture}[{words}]({away}{anchor})"

    return _LINK.sub(replace, text)


def _uri_of(repository: str) -> str | None:
    """The page of a file of the repository; None where it has none."""
    if repository == "README.md":
        return "index.md"
    for uri, origin in _elsewhere().items():
        if origin == repository:
            return uri
    if repository.endswith(".py"):
        module = repository.removesuffix(".py").replace("/", ".")
        for uri, modules in _reference().items():
            if module in modules:
                return uri
        return None
    return repository.removeprefix("docs/") if repository.startswith("docs/") else None


def _published_table() -> str:
    """Figures of papers, a table a corpus."""
    path = ROOT / "unsup_asr" / "report" / "published.tsv"
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("#")]
    header, *cells = [line.split("\t") for line in lines]
    rows = [dict(zip(header, of, strict=True)) for of in cells]
    said: list[str] = []
    for corpus in dict.fromkeys(row["corpus"] for row in rows):
        said += [
            f"\n## {corpus}\n",
            "| system | rate | scored on | how | training | figure | source |",
        ]
        said += ["|---|---|---|---|---|---|---|"]
        for row in rows:
            if row["corpus"] == corpus:
                how = f"{row['phones']} phones, silence {row['silence']}, {row['decoding']}"
                rate = f"{row['measure']} {row['rate']}"
                shown = (row["system"], rate, row["scored_on"], how, row["training"], row["read"])
                said.append(f"| {' | '.join((*shown, row['source']))} |")
    return "\n".join(said)


def _messages_page() -> str:
    return "\n".join(_message_lines()) + "\n"


def _message_lines() -> Iterator[str]:
    yield "# Every message"
    yield ""
    yield "Read off the source when this site was built; `…` stands for what is filled in."
    yield "Each group links to what it means and what to do."
    sections = troubles.sections()
    of_sections: dict[str, list[messages.Message]] = {section.title: [] for section in sections}
    for message in messages.errors():
        of_sections[troubles.section_of(message.path, sections).title].append(message)
    yield from _group("Diagnoses", "diagnoses", messages.findings())
    yield from _group("Warnings", "warnings", messages.warnings())
    for section in sections:
        yield from _group(section.title, section.anchor, of_sections[section.title])


def _group(title: str, anchor: str, said: Sequence[messages.Message]) -> Iterator[str]:
    if not said:
        return
    yield from (
        "",
        f"## {title}",
        "",
        f"[What it means, what to do](troubleshooting.md#{anchor})",
        "",
    )
    yield from ("| message | from |", "|---|---|")
    for pattern, paths in _by_pattern(said).items():
        words = html.escape(pattern).replace("|", "&#124;").replace("`", "&#96;")
        yield f"| <code>{words}</code> | {', '.join(paths)} |"


def _by_pattern(said: Sequence[messages.Message]) -> dict[str, list[str]]:
    """Links to the modules that say it, by pattern."""
    found: dict[str, list[str]] = {}
    for message in said:
        module = message.path.removesuffix(".py").replace("/", ".")
        page, is_page = module.rpartition(".")[0], not module.endswith("__init__")
        link = f"[{module}](reference/{page}.md#{module})" if is_page else page
        paths = found.setdefault(message.pattern, [])
        if link not in paths:
            paths.append(link)
    return found
