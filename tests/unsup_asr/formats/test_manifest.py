import json
from pathlib import Path

import pytest

from unsup_asr.formats.hypotheses import (
    read_hypotheses,
    read_transcripts,
    read_words,
    write_hypotheses,
    write_transcripts,
    write_words,
)
from unsup_asr.formats.manifest import read_manifest, write_manifest
from unsup_asr.types import Hypothesis, Transcript, Utterance


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    (tmp_path / "a.wav").touch()
    (tmp_path / "b.wav").touch()
    return tmp_path


def record(key: str, audio: str = "a.wav", **more: object) -> str:
    return json.dumps(
        {"id": key, "audio": audio, "speaker": "s", "duration_s": 1.0} | more, ensure_ascii=False
    )


def test_a_manifest_comes_back_with_its_audio_resolved(corpus: Path):
    path = corpus / "train.jsonl"
    write_manifest(
        path,
        [Utterance("a", "a.wav", "Zoë", 1.5), Utterance("b", str(corpus / "b.wav"), "s", 2.0)],
    )
    assert json.loads(path.read_text("utf-8").splitlines()[1])["audio"] == "b.wav"
    assert read_manifest(path) == [
        Utterance("a", str(corpus / "a.wav"), "Zoë", 1.5),
        Utterance("b", str(corpus / "b.wav"), "s", 2.0),
    ]


def test_a_manifest_still_opens_after_its_folder_moves(corpus: Path):
    folder = corpus / "before"
    folder.mkdir()
    (corpus / "a.wav").rename(folder / "a.wav")
    write_manifest(folder / "m.jsonl", [Utterance("a", str(folder / "a.wav"), "s", 1.0)])
    folder.rename(corpus / "after")
    assert read_manifest(corpus / "after" / "m.jsonl")[0].audio == str(corpus / "after" / "a.wav")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([record("a"), record("b"), record("a")], r"m\.jsonl:3: .*'a' again \(first on line 1\)"),
        ([record("a"), "{oops"], r"m\.jsonl:2: not JSON"),
        ([record("a"), record("b", "gone.wav")], r"m\.jsonl:2: audio of utterance 'b' is missing"),
        ([record("a", duration_s="long")], r"m\.jsonl:1: duration_s is 'long'; expected a number"),
        ([record("a", duration_s=0)], r"m\.jsonl:1: .*expected > 0"),
        ([record("a b")], r"m\.jsonl:1: utterance id 'a b'"),
        ([record("a", text="hello")], r"m\.jsonl:1: found .*'text'.*expected the keys"),
        (["[1]"], r"m\.jsonl:1: found list; expected the keys"),
        ([], r"m\.jsonl: 0 utterances"),
    ],
)
def test_a_bad_manifest_is_refused_with_its_line(corpus: Path, lines: list[str], message: str):
    path = corpus / "m.jsonl"
    path.write_text("\n".join(lines), "utf-8")
    with pytest.raises(ValueError, match=message):
        read_manifest(path)


def test_a_missing_manifest_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match=r"gone\.jsonl: no such manifest"):
        read_manifest(tmp_path / "gone.jsonl")


def test_writing_refuses_duplicates_and_nothing(tmp_path: Path):
    utterance = Utterance("a", "a.wav", "s", 1.0)
    with pytest.raises(ValueError, match="'a' twice"):
        write_manifest(tmp_path / "m.jsonl", [utterance, utterance])
    with pytest.raises(ValueError, match="0 utterances to write"):
        write_manifest(tmp_path / "m.jsonl", [])


def test_references_come_back_with_and_without_times(tmp_path: Path):
    path = tmp_path / "references.tsv"
    transcripts = [
        Transcript("a", ("h", "aɪ"), (0.0, 0.0625), (0.0625, 0.25)),
        Transcript("b", ("tʃ",)),
        Transcript("c", ()),
    ]
    write_transcripts(path, transcripts)
    assert read_transcripts(path) == transcripts


def test_hypotheses_and_words_come_back(tmp_path: Path):
    hypotheses = [
        Hypothesis("a", ("h", "aɪ"), (0.0, 0.5), (0.5, 1.0), (0.25, 1.0)),
        Hypothesis("b", ("h",), (), (), (0.5,)),
    ]
    write_hypotheses(tmp_path / "h.tsv", hypotheses)
    assert read_hypotheses(tmp_path / "h.tsv") == hypotheses
    words = {"a": ("oh", "là"), "b": ("hi",)}
    write_words(tmp_path / "w.tsv", words)
    assert read_words(tmp_path / "w.tsv") == words


HEADER = "utterance_id\tphones\tstarts_s\tends_s"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a\tb\t\t"], r"t\.tsv:1: header is 'a\\tb"),
        ([HEADER, "a\tb"], r"t\.tsv:2: 2 columns; expected 4"),
        ([HEADER, "a\tb\t\t", "a\tb\t\t"], r"t\.tsv:3: utterance 'a' again \(first on line 2\)"),
        ([HEADER, "a\tb\tsoon\t1"], r"t\.tsv:2: column starts_s holds 'soon'"),
        ([HEADER, "a\tb c\t0\t1"], r"t\.tsv:2: .*2 phones, 1 starts"),
    ],
)
def test_bad_references_are_refused_with_their_line(tmp_path: Path, lines: list[str], message: str):
    (tmp_path / "t.tsv").write_text("\n".join(lines), "utf-8")
    with pytest.raises(ValueError, match=message):
        read_transcripts(tmp_path / "t.tsv")


def test_hypotheses_need_one_confidence_a_phone(tmp_path: Path):
    (tmp_path / "h.tsv").write_text(f"{HEADER}\tconfidences\na\tb c\t\t\t0.5\n", "utf-8")
    with pytest.raises(ValueError, match=r"h\.tsv:2: .*2 phones and 1 confidences"):
        read_hypotheses(tmp_path / "h.tsv")


def test_missing_references_are_named(tmp_path: Path):
    with pytest.raises(ValueError, match=r"gone\.tsv: no such file"):
        read_transcripts(tmp_path / "gone.tsv")


def test_values_with_tabs_and_repeated_ids_are_not_written(tmp_path: Path):
    with pytest.raises(ValueError, match="tab or line break"):
        write_transcripts(tmp_path / "t.tsv", [Transcript("a", ("b\tc",))])
    with pytest.raises(ValueError, match="'a' twice"):
        write_transcripts(tmp_path / "t.tsv", [Transcript("a", ("b",))] * 2)
