"""The page of `serve` in a headless chromium: a file, a drop, a microphone, a click on a phone."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.unsup_asr.commands.served import served
from tests.unsup_asr.small_model import babble, save_small_model
from unsup_asr import load_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    save_small_model(folder / "model")
    soundfile.write(folder / "new.flac", babble(3), 16000)
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with served(folder / "model") as (address, _):
        yield address


@pytest.fixture
def page(open_page: OpenPage, address: str) -> Page:
    return open_page(address)


def test_a_file_is_shown_and_each_phone_can_be_heard(page: Page, folder: Path) -> None:
    expected = load_model(folder / "model").transcribe(folder / "new.flac")
    page.set_input_files("#file", folder / "new.flac")
    phones = page.locator("#phones button")
    expect(phones).to_have_count(len(expected.phones))
    expect(page.locator("#status")).to_have_text(
        f"new.flac: 3.0 s, {len(expected.phones)} phones. Click one to hear it."
    )
    expect(page.locator("#text")).to_have_text(" ".join(expected.phones))
    left = phones.evaluate_all("all => all.map((one) => parseFloat(one.style.left))")
    np.testing.assert_allclose(left, 200 * np.array(expected.starts_s), atol=0.1)
    phones.nth(2).click()
    page.wait_for_function("window.played.length === 1")
    start_s, duration_s, rate = page.evaluate("window.played[0]")
    assert start_s == pytest.approx(expected.starts_s[2], abs=1e-3)
    assert duration_s == pytest.approx(expected.ends_s[2] - expected.starts_s[2], abs=1e-3)
    assert rate == 16000
    expect(phones.nth(2)).not_to_have_class("playing")  # once it has ended


def test_wave_and_spectrogram_show_where_it_is_loud(page: Page, folder: Path) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 2000 * np.arange(16000) / 16000)
    soundfile.write(folder / "tone.wav", np.concatenate([np.zeros(16000), tone]), 16000)
    page.set_input_files("#file", folder / "tone.wav")
    expect(page.locator("#view")).to_be_visible()
    pixels = """(id) => {
      const canvas = document.getElementById(id);
      const { data, width, height } =
        canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return { width, height, data: Array.from(data) };
    }"""
    images = {}
    for name in ("wave", "spectrogram"):
        found = page.evaluate(pixels, name)
        images[name] = np.array(found["data"]).reshape(found["height"], found["width"], 4)
        assert found["width"] == 400  # 2 s
    drawn = (images["wave"][:, :, 3] > 0).sum(axis=0)
    assert drawn[:195].max() <= 2
    assert drawn[205:395].min() > 30
    grey = images["spectrogram"][:, :, 0].astype(int)
    darkest = grey[:, 300].argmin()
    assert darkest == pytest.approx(192 * (1 - 2000 / 8000), abs=3)
    assert grey[:, 50].min() > 200


def test_a_dropped_file_is_heard(page: Page, folder: Path) -> None:
    content = base64.b64encode((folder / "new.flac").read_bytes()).decode()
    dropped = page.evaluate_handle(
        """(content) => {
          const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
          const dropped = new DataTransfer();
          dropped.items.add(new File([bytes], "dropped.flac"));
          return dropped;
        }""",
        content,
    )
    page.dispatch_event("body", "drop", {"dataTransfer": dropped})
    expect(page.locator("#status")).to_contain_text("dropped.flac: 3.0 s")


def test_a_microphone_is_heard(page: Page) -> None:
    page.click("#record")
    expect(page.locator("#record")).to_have_text("Stop")
    page.wait_for_timeout(1500)
    page.click("#record")
    expect(page.locator("#status")).to_contain_text("recording.wav: ", timeout=20_000)
    expect(page.locator("#status")).to_contain_text("phones. Click one")
    expect(page.locator("#phones button")).not_to_have_count(0)  # chromium's microphone beeps


def test_what_is_no_audio_is_said(page: Page, folder: Path) -> None:
    (folder / "letter.wav").write_text("Dear all")
    page.set_input_files("#file", folder / "letter.wav")
    expect(page.locator("#status")).to_contain_text("letter.wav: ")
    expect(page.locator("#status")).to_have_class("fault")
    expect(page.locator("#view")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_can_be_used_by_all(
    open_page: OpenPage, address: str, folder: Path, scheme: str
) -> None:
    page = open_page(address, color_scheme=scheme, viewport={"width": 390, "height": 800})
    page.set_input_files("#file", folder / "new.flac")
    expect(page.locator("#phones button")).not_to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_rows_are_walked_by_arrows(page: Page, folder: Path) -> None:
    page.set_input_files("#file", folder / "new.flac")
    phones = page.locator("#phones button")
    expect(phones).not_to_have_count(0)
    phones.first.focus()
    page.keyboard.press("ArrowRight")
    expect(phones.nth(1)).to_be_focused()
