"""Pages of reports, checked: valid HTML, no outside requests, one script, no picture unnamed."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from pathlib import Path
from xml.etree.ElementTree import Element

from tinyhtml5.parser import HTMLParser

from unsup_asr.report.curves import CurveSet
from unsup_asr.report.diagnosed import Diagnosed
from unsup_asr.report.left import LearnedFrom, Left, Member
from unsup_asr.report.page.run import write_run_page
from unsup_asr.report.results import Results
from unsup_asr.report.samples import Samples
from unsup_asr.report.signs import Finding

GOOD = Diagnosed("toy", "good", None, None, (), ("unsup-asr transcribe M NEW.wav",))
SUSPECT = Diagnosed(
    *("toy", "suspect", None, None),
    (Finding("length", "too long <i>"), Finding("text", "unlike the text")),
    ("unsup-asr run toy start=spoken_text", "unsup-asr validate toy"),
)
_SVG = "{http://www.w3.org/2000/svg}"
_XHTML = "{http://www.w3.org/1999/xhtml}"


def left_of(results: Results) -> Left:
    """What a run with these results has left, with curves."""
    population = results.population
    return Left(
        name=results.recipe,
        stages={},
        results=results,
        learned_from=LearnedFrom(results.train_hours, results.num_train_speakers, 40),
        signs=results.signs,
        members=tuple(
            Member(per=m.per, criterion=m.weighted_perplexity, is_chosen=n == 0)
            for n, m in enumerate(population.members if population else ())
        ),
        curves=(CurveSet("Matching", {"restart 1": [3.0, 2.0], "restart 2": [3.1, float("nan")]}),),
        wall_by_stage=results.wall_by_stage,
    )


def run_page(
    folder: Path,
    left: Left | Results,
    *,
    diagnosed: Diagnosed = GOOD,
    samples: Samples | None = None,
    notice: str = "",
) -> str:
    """The page of a run, after `check_page`."""
    left = left_of(left) if isinstance(left, Results) else left
    path = folder / "report.html"
    write_run_page(path, left, diagnosed, samples or Samples(), notice=notice)
    text = path.read_text("utf-8")
    check_page(text)
    return text


def check_page(text: str) -> Element:
    """The page as a tree; AssertionError for what no page may be."""
    parser = HTMLParser()
    tree = parser.parse(text, full_tree=True)
    assert parser.errors == []
    elements = [one for one in tree.iter() if isinstance(one.tag, str)]
    ids = Counter(one.get("id") for one in elements if one.get("id"))
    assert [name for name, count in ids.items() if count > 1] == []
    for one in elements:
        for name in ("src", "href", "{http://www.w3.org/1999/xlink}href", "action"):
            address = one.get(name, "#")
            assert address.startswith(("data:", "#")), f"{one.tag} asks for {address}"
            assert not address.startswith("#") or address == "#" or address[1:] in ids, address
        if one.tag == f"{_XHTML}img":
            assert one.get("alt")
        if one.tag == f"{_XHTML}canvas" or (one.tag == f"{_SVG}svg" and not one.get("aria-hidden")):
            assert one.get("role") == "img", one.attrib
        if one.get("role") == "img" or one.tag == f"{_XHTML}audio":
            assert one.get("aria-label"), one.attrib
    (script,) = (one for one in elements if one.tag.rpartition("}")[2] == "script")
    digest = base64.b64encode(hashlib.sha256((script.text or "").encode()).digest()).decode()
    (policy,) = (one.get("content", "") for one in elements if one.get("http-equiv"))
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert (tree.find(f".//{_XHTML}html") or tree).get("lang") == "en"
    return tree


def words_of(text: str) -> str:
    """What a reader sees, spaces made one."""
    tree = check_page(text)
    skipped = {"script", "style", "title"}
    return " ".join(" ".join(_words(tree, skipped)).split())


def _words(element: Element, skipped: set[str]) -> list[str]:
    tag = element.tag if isinstance(element.tag, str) else "<!-- -->"
    if tag.startswith("<!") or tag.rpartition("}")[2] in skipped:
        return []
    found = [element.text or ""]
    for child in element:
        found += [*_words(child, skipped), child.tail or ""]
    return found
