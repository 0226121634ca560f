"""Finished stage folders: sealed references, damage found, publishing whole or not at all."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from unsup_asr.engine.artifacts import Artifact, ReferencesSealedError, publish
from unsup_asr.formats.finished import (
    DamagedArtifactError,
    check_contents,
    check_sizes,
    describe_outputs,
    newest_finished,
    read_record,
)


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A published folder of the stage `corpus`."""
    partial = tmp_path / "corpus" / "abc.partial"
    (partial / "references").mkdir(parents=True)
    (partial / "references" / "test.tsv").write_text("what was said")
    (partial / "audio").mkdir()
    (partial / "audio" / "log.txt").write_text("payload of that name, below the top")
    (partial / "log.txt").write_text("what the stage logged")
    final = partial.with_name("abc")
    publish(partial, final, {"outputs": describe_outputs(partial)})
    return final


def test_the_log_is_no_output_but_its_namesake_in_a_folder_is(finished: Path) -> None:
    record = read_record(finished)
    assert record is not None
    assert sorted(record["outputs"]) == ["audio/log.txt", "references/test.tsv"]  # type: ignore[call-overload]


def test_a_record_may_name_a_path_that_is_no_unicode(tmp_path: Path) -> None:
    name = os.fsdecode("é".encode() + b"\xe9")
    (tmp_path / "partial").mkdir()
    publish(tmp_path / "partial", tmp_path / "done", {"outputs": {}, "audio": name})
    assert read_record(tmp_path / "done") == {"outputs": {}, "audio": name}


@pytest.mark.parametrize(
    "name", ["references/test.tsv", "references", "./references/test.tsv", "audio/../references"]
)
def test_references_stay_closed_whatever_the_spelling(finished: Path, name: str) -> None:
    with pytest.raises(ReferencesSealedError, match="has not declared reads_references"):
        Artifact("corpus", finished, reads_references=False).file(name)
    assert Artifact("corpus", finished, reads_references=True).file(name).exists()


def test_a_file_that_is_not_there_comes_with_what_to_do(finished: Path) -> None:
    with pytest.raises(DamagedArtifactError, match=r"train\.jsonl does not exist.*--force corpus"):
        Artifact("corpus", finished, reads_references=False).file("train.jsonl")


def test_one_changed_byte_of_the_same_size_escapes_sizes_but_not_contents(finished: Path) -> None:
    payload = finished / "audio" / "log.txt"
    payload.write_bytes(b"P" + payload.read_bytes()[1:])
    check_sizes(finished)
    with pytest.raises(DamagedArtifactError, match=r"audio/log\.txt is damaged: its sha256"):
        check_contents(finished)


def test_a_stage_that_gets_its_name_meanwhile_is_no_newest_one(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when another run of the experiment publishes one."""
    partial = finished.with_name("xyz.partial")
    partial.mkdir()
    (partial / "stage.json").write_text("{}")
    glob = Path.glob

    def published_meanwhile(folder: Path, pattern: str) -> list[Path]:
        found = list(glob(folder, pattern))
        partial.rename(finished.with_name("xyz"))
        return found

    monkeypatch.setattr(Path, "glob", published_meanwhile)
    assert newest_finished(finished.parent) == finished


def test_a_record_that_is_cut_or_empty_is_named(finished: Path) -> None:
    record = finished / "stage.json"
    record.write_text(record.read_text()[:-5])
    with pytest.raises(DamagedArtifactError, match=r"stage\.json is not JSON"):
        read_record(finished)
    record.write_text(json.dumps({}))
    with pytest.raises(DamagedArtifactError, match="lists no outputs"):
        check_sizes(finished)


def test_a_folder_without_record_makes_way_for_the_finished_one(finished: Path) -> None:
    (finished / "stage.json").unlink()
    partial = finished.with_name("abc.partial")
    partial.mkdir()
    (partial / "new.txt").write_text("new")
    publish(partial, finished, {"outputs": describe_outputs(partial)})
    assert sorted(p.name for p in finished.iterdir()) == ["new.txt", "stage.json"]
    assert not partial.exists()


def test_publishing_that_fails_leaves_no_finished_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partial = tmp_path / "corpus" / "abc.partial"
    partial.mkdir(parents=True)
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk gone")))
    with pytest.raises(OSError, match="disk gone"):
        publish(partial, tmp_path / "corpus" / "abc", {"outputs": {}})
    assert read_record(partial) is None
    assert not (tmp_path / "corpus" / "abc").exists()


def test_tests_cannot_reach_the_network() -> None:
    with socket.socket() as reached, pytest.raises(AssertionError, match="tests are offline"):
        reached.connect(("192.0.2.1", 80))
