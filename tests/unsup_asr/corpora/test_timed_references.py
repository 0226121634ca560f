"""What was said in a tape, by time, as references of its parts."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from unsup_asr.corpora.folder_references import References, read_references
from unsup_asr.corpora.timed_references import dealt
from unsup_asr.types import Utterance

HEADER = "utterance_id\tstart_s\tend_s\twords\n"


def parts(*starts_s: float, end_s: float) -> list[Utterance]:
    edges = [*starts_s, end_s]
    return [
        Utterance(f"tape-{n}", "/tape.wav", "ann", edges[n + 1] - start, start_s=start)
        for n, start in enumerate(starts_s)
    ]


def table(tmp_path: Path, rows: str) -> References:
    (tmp_path / "said.tsv").write_text(HEADER + rows, "utf-8")
    return read_references(tmp_path / "said.tsv", kind="words")


def deal(references: References, utterances: list[Utterance]) -> dict[str, tuple[str, ...]]:
    ids = {Path("/tape.wav"): "tape"}
    return dealt(references, utterances, ids, Path("said.tsv")).tokens


def test_each_part_gets_what_was_said_in_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    references = table(tmp_path, "tape\t5.5\t6\tend\ntape\t0\t1\ta b\ntape\t1\t5\tc d e f\n")
    assert references.tokens == {"tape": ("end", "a", "b", "c", "d", "e", "f")}
    with caplog.at_level(logging.INFO, "unsup_asr"):
        found = deal(references, [*parts(0.0, 2.9, 5.2, 6.2, end_s=9.0)][::-1])
    assert found == {"tape-0": ("a", "b", "c", "d"), "tape-1": ("e", "f"), "tape-2": ("end",)}
    assert "3 stretches in 3 of 4 utterances, 1 of them divided" in caplog.text


def test_a_recording_that_was_not_cut_gets_all(tmp_path: Path) -> None:
    references = table(tmp_path, "tape\t0\t1\ta b\ntape\t2\t3\tc\n")
    whole = Utterance("tape", "/tape.wav", "ann", 3.0)
    assert deal(references, [whole]) == {"tape": ("a", "b", "c")}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("tape\t2\t1\ta", r"said\.tsv:2: start_s '2', end_s '1'; expected both, in seconds"),
        ("tape\t-1\t1\ta", r"said\.tsv:2: start_s '-1'"),
        ("tape\tx\t1\ta", r"said\.tsv:2: start_s 'x'"),
        ("tape\t1\tinf\ta", r"said\.tsv:2: .*end_s 'inf'"),
        ("tape\t1\tnan\ta", r"said\.tsv:2: .*end_s 'nan'"),
        ("tape\t1\t2\t", r"said\.tsv:2: utterance 'tape' has no words"),
    ],
)
def test_times_that_are_none_are_refused(row: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        table(tmp_path, row + "\n")


def test_one_time_without_the_other_is_refused(tmp_path: Path) -> None:
    (tmp_path / "said.tsv").write_text("utterance_id\tstart_s\twords\ntape\t1\ta\n", "utf-8")
    with pytest.raises(ValueError, match=r"said\.tsv:2: start_s '1', end_s 'missing'"):
        read_references(tmp_path / "said.tsv", kind="words")


def test_a_stretch_behind_the_end_is_refused(tmp_path: Path) -> None:
    utterances = parts(0.0, 2.0, end_s=4.0)
    assert deal(table(tmp_path, "tape\t3\t4.4\ta\n"), utterances) == {"tape-1": ("a",)}
    with pytest.raises(ValueError, match=r"said\.tsv:2: end_s is 4\.6, .* lasts 4\.000 s"):
        deal(table(tmp_path, "tape\t3\t4.6\ta\n"), utterances)
