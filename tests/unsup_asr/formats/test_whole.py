"""What is written whole is never half there, and never takes the old away without the new."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from unsup_asr import cli
from unsup_asr.commands import report
from unsup_asr.formats.whole import whole, write_whole


def test_a_file_that_could_not_be_written_is_still_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_whole(path, "old\n")

    def interrupted() -> None:
        with whole(path) as scratch:
            scratch.write_text("ne")
            assert path.read_text() == "old\n"
            _full()

    with pytest.raises(OSError, match="full"):
        interrupted()
    assert path.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_path_that_is_no_unicode_can_be_written(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.txt", "caf\udce9")
    assert (tmp_path / "a.txt").read_text("utf-8") == "caf\\udce9"


def test_results_that_cannot_be_written_leave_those_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_text("before")
    monkeypatch.setattr(report, "results_markdown", lambda _: "x" * 100)
    monkeypatch.setattr(Path, "write_text", lambda *_, **__: _full())
    assert cli.main(["report", "none", "--exp", str(tmp_path), "--results", str(path)]) == 1
    assert "full" in capsys.readouterr().err
    assert path.read_text() == "before"


def _full() -> None:
    raise OSError("full")


def test_a_device_is_not_replaced_and_a_link_stays_one(tmp_path: Path) -> None:
    """As root, `--out /dev/null` made a file of the device."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe is no file to write"):
        write_whole(tmp_path / "pipe", "new")
    assert (tmp_path / "pipe").is_fifo()
    (tmp_path / "link").symlink_to("target")
    write_whole(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


def test_what_the_system_refuses_names_the_users_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file") as refused:
        write_whole(tmp_path / "no" / "a.txt", "new")
    assert refused.value.filename == str(tmp_path / "no" / "a.txt")
