"""What is in a folder, for who reads it and for the key of who reads it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from unsup_asr.engine.keys import DigestCache
from unsup_asr.formats.folders import list_folder


@contextmanager
def without_privileges() -> Iterator[None]:
    """As a user who may not open everything, where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in" / "s1").mkdir(parents=True)
    (tmp_path / "in" / "s1" / "a.wav").write_bytes(b"a")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "b.wav").write_bytes(b"b")
    (tmp_path / "in" / "s2").symlink_to(tmp_path / "elsewhere")
    return tmp_path / "in"


def digest(folder: Path) -> str:
    return DigestCache(folder.parent / "digests.json").digest(folder)


def test_links_are_followed_and_each_folder_is_listed_once(folder: Path) -> None:
    (folder / "s1" / "up").symlink_to(folder)
    (folder / "again").symlink_to(folder / "s1")
    found = list_folder(folder)
    assert found.files == [folder / "s1" / "a.wav", folder / "s2" / "b.wav"]
    assert found.repeated == [folder / "again", folder / "s1" / "up"]


def test_hidden_files_are_neither_listed_nor_digested(folder: Path) -> None:
    before = digest(folder)
    (folder / "s1" / "._a.wav").write_bytes(b"")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "c.wav").write_bytes(b"c")
    found = list_folder(folder)
    assert found.hidden == [folder / ".cache", folder / "s1" / "._a.wav"]
    assert len(found.files) == 2
    assert digest(folder) == before


def test_what_a_link_leads_to_is_digested(folder: Path) -> None:
    before = digest(folder)
    (folder.parent / "elsewhere" / "b.wav").write_bytes(b"other")
    assert digest(folder) != before


def test_names_that_are_no_unicode_can_be_digested(folder: Path) -> None:
    before = digest(folder)
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.wav")).write_bytes(b"c")
    assert digest(folder) != before


def test_what_cannot_be_opened_is_named_with_its_reason(folder: Path) -> None:
    (folder / "gone").symlink_to(folder / "nowhere")
    (folder / "loop").symlink_to(folder / "loop")
    os.mkfifo(folder / "pipe.wav")
    (folder / "closed").mkdir(mode=0)
    (folder / "closed.wav").touch(mode=0)
    for path in (folder.parent, *folder.parents):
        if path.is_relative_to("/tmp") and path.stat().st_uid == os.getuid():
            path.chmod(path.stat().st_mode | 0o755)
    with without_privileges():
        found = list_folder(folder).unreadable
    assert {path.name: why for path, why in found.items()} == {
        "gone": f"a link to {folder / 'nowhere'}, which cannot be opened (No such file or "
        "directory)",
        "loop": f"a link to {folder / 'loop'}, which cannot be opened (Too many levels of symbolic "
        "links)",
        "pipe.wav": "neither a file nor a folder",
        "closed": "the folder cannot be opened (Permission denied)",
        "closed.wav": "cannot be opened (Permission denied)",
    }
    digest(folder)  # and does not stop who only asks whether a stage is done
