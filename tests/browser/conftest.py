"""Tests in a real browser: only where they are asked for, since a browser comes from no wheel."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

OpenPage = Callable[..., Page]
NAMES = ("chromium", "chromium-browser", "google-chrome")
# What the page plays by Web Audio: from, how long, at what rate; how many it stops before they end.
SPY = """
  window.played = [];
  window.alert = () => { window.alerted = true; };
  window.stopped = 0;
  const stop = AudioScheduledSourceNode.prototype.stop;
  AudioScheduledSourceNode.prototype.stop = function () {
    window.stopped++;
    return stop.call(this);
  };
  const start = AudioBufferSourceNode.prototype.start;
  AudioBufferSourceNode.prototype.start = function (when, offset, duration) {
    window.played.push([offset, duration, this.buffer.sampleRate]);
    return start.call(this, when, offset, duration);
  };
"""


def until(page: Page, condition: str) -> None:
    """Wait until something is true of a page whose policy lets nothing wait inside it."""
    for _ in range(500):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"never: {condition}")


def _is_fault(said: ConsoleMessage) -> bool:
    """An error of the page's own; what a server refuses is said on the page."""
    return said.type == "error" and "the server responded with" not in said.text


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Nothing here without `--browser`."""
    del collection_path
    return None if config.getoption("--browser") else True


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    assert found is not None, f"none of {NAMES}: apt install chromium, or leave out --browser"
    options = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
    options += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=options)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Opens an address; the page may ask nobody else, makes no error and says none."""
    contexts, faults, asked = [], [], []

    def opened(address: str, **options: object) -> Page:
        context = browser.new_context(permissions=["microphone"], **options)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: _is_fault(said) and faults.append(said.text))
        page.on("request", lambda request: asked.append((address, request.url)))
        page.add_init_script(SPY)
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []
    inside = ("blob:", "data:")
    assert {url for base, url in asked if not url.startswith((base.rstrip("/"), *inside))} == set()
