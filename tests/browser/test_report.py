"""The page of a report in a headless chromium: what is heard and said, by mouse and by keys."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, until
from tests.unsup_asr.report.page.test_run import EVIL
from tests.unsup_asr.report.pages import SUSPECT
from tests.unsup_asr.report.test_samples import run_of
from unsup_asr.report.curves import CurveSet
from unsup_asr.report.left import LearnedFrom, Left, Member
from unsup_asr.report.page.run import write_run_page
from unsup_asr.report.page.runs import Shown, write_runs_page
from unsup_asr.report.results import Results, SampleTranscript, row_from_counts
from unsup_asr.report.samples import Sample, Samples
from unsup_asr.scoring.metrics import confusions
from unsup_asr.scoring.nulls import Nulls
from unsup_asr.types import ErrorCounts, Float32Array, Hypothesis, Transcript, WordHypothesis

PHONES = tuple("abcdefghijklmnopqrst")
STARTS = tuple(0.1 * number for number in range(20))
ENDS = tuple(0.1 * number for number in range(1, 21))


def sound() -> Float32Array:
    """A second of silence, then one of a tone."""
    tone = 0.5 * np.sin(2 * np.pi * 2000 * np.arange(16000) / 16000)
    return np.concatenate([np.zeros(16000), tone]).astype(np.float32)


def write_page(path: Path) -> Path:
    """A run with two samples."""
    heard = (*PHONES[:5], "x", *PHONES[6:])
    samples = tuple(
        Sample(
            utterance_id=name,
            speaker="s",
            sound=sound(),
            said=SampleTranscript(name, PHONES, heard, STARTS, ENDS, (0.0, 1.0, 2.0)),
            found={"gan": Hypothesis(name, heard, STARTS, ENDS)},
            words=WordHypothesis(name, ("half",), (0.5,), (1.5,)),
        )
        for name in ("u1", EVIL)
    )
    row = row_from_counts(
        [ErrorCounts(0, 0, 1, 20)] * 20, split="test", seed=0, nulls=Nulls(90.0, 95.0), chosen=True
    )
    results = Results(
        **{"recipe": EVIL, "seed": 0, "corpus": "toy", "test_digest": "0", "num_phones": 20},
        **{"train_hours": 1.0, "num_train_speakers": 2, "js_divergence": {1: 0.1}},
        rows={"gan": row, "self_training": row},
        confusion=confusions([Transcript("u", PHONES)], [Hypothesis("u", heard)]),
        wall_by_stage={"corpus": 1.0},
    )
    left = Left(
        name=EVIL,
        stages={},
        results=results,
        learned_from=LearnedFrom(1.0, 2, 20),
        members=(
            Member(per=50.0, criterion=9.0, is_chosen=False),
            Member(per=5.0, criterion=7.0, is_chosen=True),
        ),
        curves=(CurveSet("game", {"a": [3.0, 2.0], "b": [4.0, math.nan]}),),
        wall_by_stage={"corpus": 1.0},
    )
    write_run_page(path, left, SUSPECT, Samples(samples))
    return path


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_page(tmp_path_factory.mktemp("page") / "report.html").as_uri()


@pytest.fixture
def page(open_page: OpenPage, address: str) -> Page:
    return open_page(address)


def played(page: Page, number: int) -> list[float]:
    """From, how long and at what rate the page has played its n-th sound."""
    until(page, f"window.played.length === {number}")
    return page.evaluate("window.played.at(-1)")


def test_a_phone_or_a_word_is_heard_when_it_is_clicked(page: Page) -> None:
    found = page.get_by_role("group", name="phones found by gan").first.get_by_role("button")
    expect(found).to_have_count(20)
    found.nth(7).click()
    assert played(page, 1) == pytest.approx([0.7, 0.1, 16000])
    page.get_by_role("group", name="phones said").nth(1).get_by_role("button").nth(12).click()
    assert played(page, 2) == pytest.approx([1.2, 0.1, 16000])
    word = page.get_by_role("button", name="half").first
    word.click()
    assert played(page, 3) == pytest.approx([0.5, 1.0, 16000])
    expect(word).to_have_class("playing")
    expect(word).not_to_have_class("playing")  # once it has ended


def test_a_wrong_phone_says_so(page: Page) -> None:
    wrong = page.get_by_role("group", name="phones found by gan").first.locator(".wrong")
    expect(wrong).to_have_count(1)
    expect(wrong).to_have_attribute("title", "x, 0.50 to 0.60 s; said: f")


def test_rows_are_walked_by_arrows_and_heard_by_enter(page: Page) -> None:
    row = page.get_by_role("group", name="phones found by gan").first.get_by_role("button")
    row.first.focus()
    for key in ("ArrowRight", "ArrowRight", "End", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
    expect(row.nth(18)).to_be_focused()
    page.keyboard.press("Enter")
    assert played(page, 1) == pytest.approx([1.8, 0.1, 16000])
    page.keyboard.press("Home")
    expect(row.first).to_be_focused()
    assert row.evaluate_all("all => all.filter((one) => one.tabIndex === 0).length") == 1


def test_the_wave_is_drawn_and_is_heard_from_where_it_is_clicked(page: Page) -> None:
    wave = page.get_by_role("img", name="wave of u1")
    box = wave.bounding_box()
    assert box is not None
    drawn = wave.evaluate(
        """(canvas) => {
          const { data, width, height } =
            canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return { width, height, data: Array.from(data) };
        }"""
    )
    pixels = np.array(drawn["data"]).reshape(drawn["height"], drawn["width"], 4)
    inked = (pixels[:, :, 3] > 0).sum(axis=0)
    half = drawn["width"] // 2
    assert drawn["width"] == pytest.approx(box["width"], abs=1)
    assert inked[: half - 2].max() <= 2
    assert inked[half + 2 : -2].min() > 25
    wave.click(position={"x": box["width"] / 4, "y": 50})
    start, duration, _ = played(page, 1)
    assert start == pytest.approx(0.5, abs=0.01)
    assert start + duration == pytest.approx(2.0)


def test_the_sound_plays_whole_with_a_playhead_and_gives_way_to_a_phone(page: Page) -> None:
    audio, head = page.locator("audio").first, page.locator(".playhead").first
    expect(head).to_be_hidden()
    assert audio.evaluate("(audio) => audio.duration") == pytest.approx(2.0)
    audio.evaluate("(audio) => audio.play()")
    expect(head).to_be_visible()
    until(page, "parseFloat(document.querySelector('.playhead').style.left) > 5")
    page.get_by_role("button", name="half").first.click()
    assert audio.evaluate("(audio) => audio.paused")
    expect(head).to_be_visible()
    expect(head).to_be_hidden()  # once the word has ended
    page.get_by_role("button", name="half").first.click()
    audio.evaluate("(audio) => audio.play()")
    until(page, "window.stopped === 1")
    expect(page.locator("button.playing")).to_have_count(0)
    expect(head).to_be_visible()


def test_confusions_are_said_under_the_mouse_and_by_keys(page: Page) -> None:
    says = page.locator("#confusions-say")
    cell = page.get_by_title("true f heard as x: 1 of 1")
    cell.hover()
    expect(says).to_have_text("true f heard as x: 1 of 1")
    cells = page.locator(".confusions tbody td")
    cells.first.focus()
    expect(says).to_have_text("true a heard as it is: 1 of 1")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    expect(says).to_have_text("true b heard as it is: 1 of 1")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_it_fits_and_can_be_used_by_all_in_light_and_dark(
    open_page: OpenPage, address: str, scheme: str, width: int
) -> None:
    page = open_page(address, color_scheme=scheme, viewport={"width": width, "height": 800})
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, paper[4:-1].split(","))) > 128) is (scheme == "light")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for box in page.locator(".scroll, .view").all():
        assert box.evaluate("(box) => getComputedStyle(box).overflowX") == "auto"
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_markup_in_names_does_nothing(page: Page) -> None:
    assert page.evaluate("document.scripts.length") == 1
    expect(page.locator("h1")).to_have_text(EVIL)
    expect(page.get_by_role("heading", name=EVIL, exact=True)).to_have_count(2)
    assert page.evaluate("window.alerted") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_several_runs_are_heard_on_one_page_that_all_can_use(
    open_page: OpenPage, tmp_path: Path, scheme: str
) -> None:
    runs = [
        Shown(
            name=name,
            folder=tmp_path / name,
            left=Left(name=name, stages=run_of(tmp_path / name), results=None),
            diagnosed=SUSPECT,
        )
        for name in ("one", EVIL)
    ]
    write_runs_page(tmp_path / "page.html", runs, num_samples=1)
    page = open_page((tmp_path / "page.html").as_uri(), color_scheme=scheme)
    page.get_by_role("group", name="phones found by one").get_by_role("button").click()
    assert played(page, 1) == pytest.approx([0.1, 0.1, 16000])
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
