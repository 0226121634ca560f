"""Progress bars: for a terminal only."""

from __future__ import annotations

import sys

import pytest

from unsup_asr.progress import progress, progress_bar


def test_items_go_through_in_order_and_nothing_is_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert list(progress(iter([3, 1, 2]), "count")) == [3, 1, 2]
    with progress_bar(2, "count") as step:
        step()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == ""


def test_a_terminal_gets_a_bar_on_standard_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(progress(range(3), "count")) == [0, 1, 2]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "count" in captured.err
    assert "0/3" in captured.err
