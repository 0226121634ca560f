"""What docs/site adds to the pages of docs/: links, formulas, the list of modules, no outside."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from mkdocs.structure.files import Files

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "docs" / "site"))  # whose modules are no package

import hooks  # noqa: E402  # pyright: ignore[reportMissingImports]
import offline  # noqa: E402  # pyright: ignore[reportMissingImports]

PAGES = {
    *("index.md", "gpu.md", "results.md", "recipes/toy.md", "recipes/synthetic-results.md"),
    *("reference/gan.md", "reference/unsup_asr.md", "contributing.md"),
}


class KnownFiles(Files):
    def __init__(self) -> None:
        super().__init__([])

    def get_file_from_path(self, path: str) -> object:  # pyright: ignore
        return path if path in PAGES else None


def page_text(markdown: str, uri: str) -> str:
    page = SimpleNamespace(file=SimpleNamespace(src_uri=uri), meta={})
    return hooks.on_page_markdown(markdown, page, None, KnownFiles())


@pytest.mark.parametrize(
    ("origin", "written", "expected"),
    [
        ("gpu.md", "[a](results.md#words)", "[a](results.md#words)"),
        ("gpu.md", "[a](../recipes/toy/README.md)", "[a](recipes/toy.md)"),
        ("gpu.md", "[`x`](../gan/losses.py)", "[`x`](reference/gan.md#gan.losses)"),
        ("gpu.md", "[a](../unsup_asr/doctor.py)", "[a](reference/unsup_asr.md#unsup_asr.doctor)"),
        ("gpu.md", "[a](../README.md)", "[a](index.md)"),
        ("gpu.md", "[the licence](../LICENSE)", "the licence"),
        ("gpu.md", "[a](https://example.org/b.md)", "[a](https://example.org/b.md)"),
        ("recipes/toy.md", "[a](../../docs/gpu.md)", "[a](../gpu.md)"),
        ("recipes/synthetic.md", "[a](RESULTS.md)", "[a](synthetic-results.md)"),
        ("gpu.md", "[a](nowhere.md)", "[a](nowhere.md)"),
        ("gpu.md", "[a](../gan/nowhere.py)", "a"),
        ("contributing.md", "[a](docs/gpu.md)", "[a](gpu.md)"),
    ],
)
def test_a_link_leads_to_the_page_or_is_its_words(origin: str, written: str, expected: str) -> None:
    assert page_text(f"before {written} behind", origin) == f"before {expected} behind"


def test_code_is_left_as_it_is() -> None:
    code = "```\n[a](../LICENSE)\n```\n"
    assert page_text(f"[a](../LICENSE)\n\n{code}", "gpu.md") == f"a\n\n{code}"


def test_formulas_become_mathml() -> None:
    inline = '<p>as <span class="arithmatex">\\(a &lt; b\\)</span> is</p>'
    found = hooks.on_page_content(inline, None, None, None)
    assert found.startswith('<p>as <math xmlns="http://www.w3.org/1998/Math/MathML"')
    assert "&#x0003C;" in found
    assert "arithmatex" not in found
    block = '<div class="arithmatex">\\[\n\\frac{a}{b}\n\\]</div>'
    assert 'display="block"' in hooks.on_page_content(block, None, None, None)
    assert "<mfrac>" in hooks.on_page_content(block, None, None, None)


@pytest.mark.parametrize("formula", [r"\Bigl\lVert x", r"\text{a\_b}", r"\nosuchcommand x"])
def test_a_formula_that_cannot_be_drawn_is_an_error(formula: str) -> None:
    with pytest.raises(hooks.PluginError, match="a formula that cannot be drawn"):
        hooks.mathml(formula)


def test_the_reference_has_every_module() -> None:
    there = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for package in ("unsup_asr", "segmentation", "gan", "lm")
        for path in (ROOT / package).rglob("*.py")
        if path.stem not in ("__init__", "__main__")
    }
    assert {module for of in hooks._reference().values() for module in of} == there


def test_every_message_is_on_the_page_of_messages() -> None:
    page = hooks._messages_page()
    for message in hooks.messages.errors()[::25]:
        start = message.pattern.split(hooks.messages.GAP)[-1][:20].strip()
        assert hooks.html.escape(start).replace("|", "&#124;").replace("`", "&#96;") in page


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.html", '<script src="https://x.org/a.js"></script>'),
        ("a.html", '<link rel="stylesheet" href="//x.org/a.css">'),
        ("a.html", '<link rel="preconnect" href="https://x.org">'),
        ("a.html", '<img alt="" src="http://x.org/a.png">'),
        ("a.html", "<style>p {background: url('https://x.org/a.png')}</style>"),
        ("a.css", '@import "https://x.org/a.css";'),
    ],
)
def test_what_a_page_loads_from_elsewhere_is_found(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    (found,) = offline.requests_outside(tmp_path)
    assert found.startswith(f"{name}: ")
    assert "//x.org" in found


def test_links_to_follow_and_own_files_are_no_requests(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<a href="https://x.org">x</a><img alt="" src="b.png"><link rel="canonical" '
        'href="https://x.org/a.html"><script src="assets/a.js"></script>',
        "utf-8",
    )
    assert offline.requests_outside(tmp_path) == []
    (tmp_path / "a.html").write_text('<script src="//x.org/a.js"></script>', "utf-8")
    with pytest.raises(hooks.PluginError, match=r"a\.html: //x.org/a.js"):
        hooks.on_post_build(SimpleNamespace(site_dir=str(tmp_path)))
