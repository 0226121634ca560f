import logging

import pytest

from unsup_asr.steps.parts import kept


class Killed(BaseException):
    pass


def writer(calls, text="whole"):
    def make(folder):
        calls.append(folder)
        (folder / "below").mkdir()
        (folder / "below" / "a.txt").write_text(text)
        (folder / "b.txt").write_text(text)

    return make


def test_a_part_is_made_once(tmp_path):
    calls = []
    for _ in range(2):
        folder = kept(tmp_path / "parts" / "first", writer(calls))
        assert (folder / "below" / "a.txt").read_text() == "whole"
    assert len(calls) == 1
    assert list((tmp_path / "parts").iterdir()) == [folder]


def test_what_a_kill_left_of_a_part_is_not_taken_for_one(tmp_path):
    def dies(folder):
        (folder / "left.txt").write_text("half")
        raise Killed

    with pytest.raises(Killed):
        kept(tmp_path / "first", dies)
    assert not (tmp_path / "first").exists()
    calls = []
    folder = kept(tmp_path / "first", writer(calls))
    assert len(calls) == 1
    assert not (folder / "left.txt").exists()


@pytest.mark.parametrize("damage", ["changed", "shorter", "missing", "added", "contents", "none"])
def test_a_damaged_part_is_noticed_and_made_again(damage, tmp_path, caplog):
    folder = kept(tmp_path / "first", writer([]))
    if damage == "changed":
        (folder / "below" / "a.txt").write_text("whale")
    if damage == "shorter":
        (folder / "b.txt").write_text("who")
    if damage == "missing":
        (folder / "b.txt").unlink()
    if damage == "added":
        (folder / "c.txt").write_text("")
    if damage == "contents":
        (folder / "contents.json").write_text("{")
    if damage == "none":
        (folder / "contents.json").unlink()
    calls = []
    with caplog.at_level(logging.WARNING):
        kept(folder, writer(calls))
    assert len(calls) == 1
    assert "first is damaged and made again" in caplog.text
    assert (folder / "below" / "a.txt").read_text() == "whole"
    assert not (folder / "c.txt").exists()
