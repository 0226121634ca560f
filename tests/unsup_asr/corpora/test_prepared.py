"""Data prepared for lhotse, Kaldi and datasets: read, heard in parts, written again."""

from __future__ import annotations

import csv
import gzip
import json
import sys
from collections.abc import Callable
from pathlib import Path

import lhotse
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import soundfile

from unsup_asr.cli import main
from unsup_asr.corpora.audiofolder import AudiofolderCorpus
from unsup_asr.corpora.folder import FolderCorpus
from unsup_asr.corpora.kaldi_data import KaldiCorpus
from unsup_asr.corpora.lhotse_manifests import LhotseCorpus
from unsup_asr.corpora.prepared import PreparedCorpus
from unsup_asr.engine.config import instantiate
from unsup_asr.engine.recipe import load_recipe
from unsup_asr.formats.hypotheses import read_words, write_hypotheses, write_word_hypotheses
from unsup_asr.formats.manifest import read_manifest, write_manifest
from unsup_asr.speech.audio import read_audio, read_utterance
from unsup_asr.types import SPLITS, Hypothesis, Utterance, WordHypothesis

ROOT = Path(__file__).resolve().parents[3]
RATE = 8000
SPEAKERS = ("ann", "bob", "cid")


def ramp(seconds: float) -> np.ndarray:
    """Samples that say where they are."""
    return np.linspace(-0.9, 0.9, round(seconds * RATE)).astype(np.float32)


@pytest.fixture
def tapes(tmp_path: Path) -> Path:
    """Three recordings of 4 s, one a speaker, a text, and folders to build corpora in."""
    for name in ("audio", "built", "whole"):
        (tmp_path / name).mkdir()
    for speaker in SPEAKERS:
        soundfile.write(tmp_path / "audio" / f"{speaker}.wav", ramp(4), RATE, subtype="FLOAT")
    (tmp_path / "text.txt").write_text("hello there\nann says b\nsomething else\n", "utf-8")
    return tmp_path


def said(speaker: str, part: str) -> str:
    return f"{speaker} says {part}"


def write_kaldi(tapes: Path) -> KaldiCorpus:
    """Two segments of each tape."""
    data = tapes / "data"
    data.mkdir()
    parts = [(s, part) for s in SPEAKERS for part in "ab"]
    tables = {
        "wav.scp": [f"{s} audio/{s}.wav" for s in SPEAKERS],
        "segments": [
            f"{s}-{p} {s} {1 if p == 'b' else 0} {3 if p == 'b' else 1}" for s, p in parts
        ],
        "utt2spk": [f"{s}-{p} {s}" for s, p in parts],
        "text": [f"{s}-{p} {said(s, p)}" for s, p in parts],
    }
    for name, lines in tables.items():
        (data / name).write_text("\n".join(lines) + "\n", "utf-8")
    return KaldiCorpus(train=str(data), text=str(tapes / "text.txt"), root=str(tapes))


def write_cuts(tapes: Path) -> LhotseCorpus:
    """The same by lhotse itself, out of the directory of Kaldi."""
    recordings, supervisions = lhotse_sets(tapes)
    cuts = lhotse.CutSet.from_manifests(recordings=recordings, supervisions=supervisions)
    cuts.trim_to_supervisions().to_file(tapes / "cuts.jsonl.gz")
    return LhotseCorpus(train=str(tapes / "cuts.jsonl.gz"), text=str(tapes / "text.txt"))


def write_supervisions(tapes: Path) -> LhotseCorpus:
    """The same by lhotse, as recordings and supervisions."""
    recordings, supervisions = lhotse_sets(tapes)
    names = [str(tapes / f"{name}.jsonl.gz") for name in ("recordings", "supervisions")]
    recordings.to_file(names[0])
    supervisions.to_file(names[1])
    return LhotseCorpus(train=",".join(names), text=str(tapes / "text.txt"))


def lhotse_sets(tapes: Path) -> tuple[lhotse.RecordingSet, lhotse.SupervisionSet]:
    recordings = [
        lhotse.Recording.from_file(tapes / "audio" / f"{s}.wav", recording_id=s) for s in SPEAKERS
    ]
    supervisions = [
        lhotse.SupervisionSegment(
            *(f"{s}-{p}", s, 1.0 if p == "b" else 0.0, 2.0 if p == "b" else 1.0),
            text=said(s, p),
            speaker=s,
        )
        for s in SPEAKERS
        for p in "ab"
    ]
    return (
        lhotse.RecordingSet.from_recordings(recordings),
        lhotse.SupervisionSet.from_segments(supervisions),
    )


WRITERS = {"kaldi": write_kaldi, "cuts": write_cuts, "supervisions": write_supervisions}


def manifests(out: Path) -> dict[str, list[Utterance]]:
    return {split: read_manifest(out / f"{split}.jsonl") for split in SPLITS}


@pytest.mark.parametrize("kind", WRITERS)
def test_segments_of_tapes_become_utterances(kind: str, tapes: Path) -> None:
    corpus = WRITERS[kind](tapes)
    corpus.build(tapes / "built")
    corpus.build_references(tapes / "built", tapes / "built")
    splits = manifests(tapes / "built")
    assert [len(splits[split]) for split in SPLITS] == [2, 2, 2], "speakers are held out"
    utterances = [u for split in SPLITS for u in splits[split]]
    assert {u.id for u in utterances} == {f"{s}-{p}" for s in SPEAKERS for p in "ab"}
    for u in utterances:
        speaker, part = u.id.split("-")
        start_s, duration_s = (1.0, 2.0) if part == "b" else (0.0, 1.0)
        assert (u.speaker, u.start_s, u.duration_s) == (speaker, start_s, duration_s)
        first, count = round(start_s * RATE), round(duration_s * RATE)
        expected = ramp(4)[first : first + count]
        np.testing.assert_allclose(read_utterance(u, sample_rate=RATE), expected, atol=1e-6)
    words = {
        key: " ".join(of)
        for split in SPLITS
        for key, of in read_words(tapes / "built" / "references" / f"{split}.words.tsv").items()
    }
    assert words == {f"{s}-{p}": said(s, p) for s in SPEAKERS for p in "ab"}
    text = (tapes / "built" / "text.txt").read_text("utf-8")
    assert text == "hello there\nsomething else\n", "what is said in the audio is no text"


def test_the_key_of_a_corpus_knows_where_parts_are(tapes: Path) -> None:
    class Digests:
        def digest_all(self, files: list[Path]) -> list[str]:
            return [path.name for path in files]

        def remembered(self, key: object, make: Callable[[], str]) -> str:
            del key
            return make()

    corpus = write_kaldi(tapes)
    before = corpus.source_digests(Digests())  # type: ignore[arg-type]
    assert before == corpus.source_digests(Digests())  # type: ignore[arg-type]
    segments = tapes / "data" / "segments"
    segments.write_text(segments.read_text().replace("ann 1 3", "ann 1 2.5"))
    assert before != corpus.source_digests(Digests())  # type: ignore[arg-type]


def test_a_kaldi_directory_without_segments_is_of_whole_recordings(tapes: Path) -> None:
    corpus = write_kaldi(tapes)
    for name in ("segments", "utt2spk", "text"):
        (tapes / "data" / name).unlink()
    corpus.build(tapes / "built")
    (test,) = manifests(tapes / "built")["test"]
    assert (test.start_s, test.duration_s, test.speaker) == (None, 4.0, test.id)
    with pytest.raises(ValueError, match=r"data: 1 of 1 utterances of train have no transcript"):
        corpus.build_references(tapes / "built", tapes / "built")


KALDI_FAULTS = {
    "a pipe": ("wav.scp", "ann sph2pipe ann.sph |", r"wav\.scp:1: .* which is not run"),
    "an archive": ("wav.scp", "ann raw.ark:12", r"wav\.scp:1: no such audio file.*archives"),
    "no path": ("wav.scp", "ann", r"wav\.scp:1: 'ann'; expected recording and path"),
    "twice": ("wav.scp", "ann audio/ann.wav\nann audio/bob.wav", r"wav\.scp:2: 'ann' again"),
    "no lines": ("wav.scp", "", r"wav\.scp: no lines"),
    "not numbers": ("segments", "ann-a ann zero 1", r"segments:1: .* start and end in seconds"),
    "backwards": ("segments", "ann-a ann 2 1", r"segments:1: from 2\.0 to 1\.0 s"),
    "another recording": ("segments", "ann-a eve 0 1", r"segments:1: recording 'eve' is not in"),
    "beyond the end": (
        *(
            "segments",
            "ann-a ann 0 9\nann-b ann 0 1\nbob-a bob 0 1\nbob-b bob 1 2\ncid-a cid 0 1\n",
        ),
        r"ann-a' is to last from 0\.000 to 9\.000 s; the recording lasts 4\.000 s",
    ),
    "unknown in text": ("text", "eve-a hello", r"text:1: utterance 'eve-a' is not in segments"),
    "some have no speaker": ("utt2spk", "ann-a ann", r"utt2spk: 5 of 6 utterances have no speaker"),
}


@pytest.mark.parametrize("fault", KALDI_FAULTS)
def test_faults_of_a_kaldi_directory_are_named(fault: str, tapes: Path) -> None:
    name, content, message = KALDI_FAULTS[fault]
    corpus = write_kaldi(tapes)
    (tapes / "data" / name).write_text(content + "\n", "utf-8")
    if fault == "beyond the end":
        for other in ("utt2spk", "text"):
            (tapes / "data" / other).unlink()
    with pytest.raises(ValueError, match=message):
        corpus.build(tapes / "built")


def edit(change: Callable[[dict], object]) -> Callable[[Path], None]:
    """Change the first record of the manifest of cuts."""

    def edited(path: Path) -> None:
        first, *rest = gzip.decompress(path.read_bytes()).decode().splitlines()
        record = json.loads(first)
        change(record)
        path.write_bytes(gzip.compress("\n".join([json.dumps(record), *rest]).encode()))

    return edited


LHOTSE_FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "half a file": (lambda p: p.write_bytes(p.read_bytes()[:100]), "not a whole gzip file"),
    "no JSON": (
        lambda p: p.write_bytes(gzip.compress(b"- id: x\n")),
        r"cuts\.jsonl\.gz:1: not JSON",
    ),
    "no lines": (lambda p: p.write_bytes(gzip.compress(b"\n")), "no lines"),
    "a list": (lambda p: p.write_bytes(gzip.compress(b"[1]")), r":1: no object with an id"),
    "a mixed cut": (edit(lambda r: r.update(type="MixedCut", tracks=[])), "a MixedCut"),
    "features alone": (edit(lambda r: r.pop("recording")), r":1: keys .*; expected a recording"),
    "a command": (
        edit(lambda r: r["recording"]["sources"][0].update(type="command")),
        r"sources of type \['command'\]",
    ),
    "transforms": (
        edit(lambda r: r["recording"].update(transforms=[{"name": "Speed"}])),
        "has transforms",
    ),
    "no audio": (
        edit(lambda r: r["recording"]["sources"][0].update(source="/none.wav")),
        "no such audio file: /none.wav",
    ),
    "no start": (edit(lambda r: r.pop("start")), r":1: start is None; expected a number"),
    "a start that is text": (
        edit(lambda r: r.update(start="0")),
        "start is '0'; expected a number",
    ),
    "a channel too many": (edit(lambda r: r.update(channel=1)), "channel 1 of a recording with 1"),
    "two speakers": (
        edit(lambda r: r["supervisions"].append({**r["supervisions"][0], "speaker": "eve"})),
        "has 2 speakers",
    ),
    "beyond the end": (edit(lambda r: r.update(duration=9.0)), "the recording lasts 4.000 s"),
    "one id twice": (
        edit(lambda r: r.update(id="bob-a")),
        r":\d: cut 'bob-a' again \(first: ",
    ),
}


@pytest.mark.parametrize("fault", LHOTSE_FAULTS)
def test_faults_of_a_manifest_are_named(fault: str, tapes: Path) -> None:
    damage, message = LHOTSE_FAULTS[fault]
    corpus = write_cuts(tapes)
    damage(tapes / "cuts.jsonl.gz")
    with pytest.raises(ValueError, match=message):
        corpus.build(tapes / "built")


def test_recordings_alone_are_whole_and_cut_at_pauses_where_they_are_long(tapes: Path) -> None:
    recordings, _ = lhotse_sets(tapes)
    recordings.to_file(tapes / "recordings.jsonl.gz")
    corpus = LhotseCorpus(
        train=str(tapes / "recordings.jsonl.gz"),
        text=str(tapes / "text.txt"),
        max_utterance_s=1.5,
    )
    corpus.build(tapes / "built")
    for utterances in manifests(tapes / "built").values():
        tile(utterances)


def tile(utterances: list[Utterance]) -> None:
    """Parts of 4 s of tape, each of at most 1.5 s, with all of its samples in order."""
    assert len(utterances) >= 3
    end_s = 0.0
    for u in utterances:
        assert u.start_s == pytest.approx(end_s, abs=1e-6)
        assert u.duration_s <= 1.5
        end_s = (u.start_s or 0.0) + u.duration_s
    assert end_s == pytest.approx(4.0)
    assert [u.id for u in utterances] == sorted(u.id for u in utterances)
    heard = np.concatenate([read_utterance(u, sample_rate=RATE) for u in utterances])
    whole = read_audio(utterances[0].audio, sample_rate=RATE)
    np.testing.assert_allclose(heard, whole, atol=1e-6)


def write_audiofolder(folder: Path, rows: list[dict[str, str]], *, form: str = "csv") -> None:
    folder.mkdir(parents=True)
    for i, row in enumerate(rows):
        (folder / row["file_name"]).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / row["file_name"], ramp(0.5 + i), RATE)
    path = folder / f"metadata.{form}"
    if form == "csv":
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif form == "jsonl":
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        path.write_text("\n".join(lines), "utf-8")
    else:
        table = pyarrow.Table.from_pylist([{**row, "audio": {"bytes": b"x"}} for row in rows])
        pyarrow.parquet.write_table(table, path)


ROWS = [
    {"file_name": "one.wav", "transcription": 'he said, "yes"', "speaker_id": "ann"},
    {"file_name": "below/two.wav", "transcription": "grüße", "speaker_id": "bob"},
]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_an_audiofolder_is_read_by_its_metadata(form: str, tapes: Path) -> None:
    for name in ("train", "validation", "test"):
        rows = [{**row, "file_name": row["file_name"].replace(".", f"_{name}.")} for row in ROWS]
        write_audiofolder(tapes / name, rows, form=form)
    soundfile.write(tapes / "train" / "more.wav", ramp(1), RATE)
    named = {"train": "train", "dev": "validation", "test": "test"}
    sources = {split: str(tapes / name) for split, name in named.items()}
    corpus = AudiofolderCorpus(**sources, text=str(tapes / "text.txt"))
    corpus.build(tapes / "built")
    corpus.build_references(tapes / "built", tapes / "built")
    train = manifests(tapes / "built")["train"]
    assert [(u.id, u.speaker) for u in train] == [
        ("one_train", "ann"),
        ("below/two_train", "bob"),
    ]
    words = read_words(tapes / "built" / "references" / "test.words.tsv")
    assert words == {"one_test": ("he", "said,", '"yes"'), "below/two_test": ("grüße",)}
    summary = json.loads((tapes / "built" / "corpus.json").read_text("utf-8"))
    assert summary["left_out"] == {"not in the metadata": 1}


AUDIOFOLDER_FAULTS = {
    "no table": ("metadata.csv", None, r"d: none of metadata\.csv, metadata\.jsonl"),
    "both tables": ("metadata.jsonl", "{}", r"d: 2 of metadata\.csv"),
    "no such file": ("metadata.csv", "file_name,text\nx.wav,y\n", r"csv:2: file_name is 'x\.wav'"),
    "no column": ("metadata.csv", "name,text\nx.wav,y\n", r"csv:2: file_name is ''"),
    "too many cells": ("metadata.csv", "file_name,text\none.wav,a,b\n", r"csv:2: another number"),
    "too few cells": ("metadata.csv", "file_name,text\none.wav\n", r"csv:2: another number"),
    "no rows": ("metadata.csv", "file_name,text\n", r"metadata\.csv: no rows"),
    "outside": ("metadata.csv", "file_name\n../audio/ann.wav\n", "lies outside"),
    "twice": ("metadata.csv", "file_name\none.wav\none.wav\n", r"csv:3: utterance 'one' again"),
}


@pytest.mark.parametrize("fault", AUDIOFOLDER_FAULTS)
def test_faults_of_metadata_are_named(fault: str, tapes: Path) -> None:
    name, content, message = AUDIOFOLDER_FAULTS[fault]
    write_audiofolder(tapes / "d", ROWS)
    if content is None:
        (tapes / "d" / name).unlink()
    else:
        (tapes / "d" / name).write_text(content)
    corpus = AudiofolderCorpus(train=str(tapes / "d"), text=str(tapes / "text.txt"))
    with pytest.raises(ValueError, match=message):
        corpus.build(tapes / "built")


def test_a_table_that_is_no_parquet_is_named(tapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_audiofolder(tapes / "d", ROWS, form="parquet")
    path = tapes / "d" / "metadata.parquet"
    corpus = AudiofolderCorpus(train=str(tapes / "d"), text=str(tapes / "text.txt"))
    whole = path.read_bytes()
    for content in (b"", b"no table", whole[:-9], whole[:9] + whole[30:]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"metadata\.parquet"):
            corpus.build(tapes / "built")
    path.write_bytes(whole)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ValueError, match=r"needs pip install 'unsup-asr\[parquet\]'"):
        corpus.build(tapes / "built")


def test_a_column_that_was_named_must_be_there(tapes: Path) -> None:
    write_audiofolder(tapes / "d", ROWS, form="jsonl")
    corpus = AudiofolderCorpus(
        train=str(tapes / "d"), text=str(tapes / "text.txt"), transcript_column="said"
    )
    with pytest.raises(ValueError, match=r"jsonl:1: no column 'said'; there are file_name"):
        corpus.build(tapes / "built")


def test_dev_and_test_are_named_together_and_hold_other_utterances(tapes: Path) -> None:
    with pytest.raises(ValueError, match=r"corpus\.dev is 'x' and corpus\.test None"):
        KaldiCorpus(train="a", dev="x", text="t")
    data = str(tapes / "data")
    corpus = write_kaldi(tapes)
    corpus = KaldiCorpus(train=data, dev=data, test=data, text=corpus.text, root=corpus.root)
    with pytest.raises(ValueError, match=r"utterance 'ann-a' is in train and in dev"):
        corpus.build(tapes / "built")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("kaldi", KaldiCorpus), ("lhotse", LhotseCorpus), ("audiofolder", AudiofolderCorpus)],
)
def test_a_recipe_can_name_them(name: str, kind: type[PreparedCorpus]) -> None:
    options = [f"corpus={name}", "corpus.train=x", "corpus.text=y", "language=de"]
    corpus = instantiate(load_recipe(str(ROOT / "recipes" / "folder"), options).corpus)
    assert type(corpus) is kind
    assert (corpus.train, corpus.language, corpus.references) == ("x", "de", True)


# long recordings of a folder


def test_a_folder_of_tapes_is_cut_at_pauses(tapes: Path) -> None:
    options = {"audio": str(tapes / "audio"), "text": str(tapes / "text.txt")}
    corpus = FolderCorpus(**options, max_utterance_s=1.5)
    corpus.build(tapes / "built")
    summary = json.loads((tapes / "built" / "corpus.json").read_text("utf-8"))
    assert summary["num_cut"] == 3
    splits = manifests(tapes / "built")
    for utterances in splits.values():
        tile(utterances)
    FolderCorpus(**options, max_utterance_s=4.0).build(tapes / "whole")
    assert all(u.start_s is None for of in manifests(tapes / "whole").values() for u in of)

    first = splits["test"][0]
    assert first.id == f"{first.speaker}-000000000-{round(1000 * first.duration_s):09d}"
    table = tapes / "said.tsv"
    table.write_text(f"utterance_id\twords\n{first.id}\thello\n", "utf-8")
    scored = FolderCorpus(
        **options, max_utterance_s=1.5, references=str(table), allow_unreferenced=True
    )
    scored.build_references(tapes / "built", tapes / "built")
    words = read_words(tapes / "built" / "references" / "test.words.tsv")
    assert words == {first.id: ("hello",)}
    table.write_text(f"utterance_id\twords\n{first.speaker}\thello\n", "utf-8")
    with pytest.raises(ValueError, match="of a recording that is cut with start and end behind it"):
        scored.build_references(tapes / "built", tapes / "built")


def test_a_part_that_its_recording_no_longer_has_is_refused(tapes: Path) -> None:
    audio = str(tapes / "audio" / "ann.wav")
    utterance = Utterance("u", audio, "ann", 3.0, start_s=2.0)
    with pytest.raises(ValueError, match=r"'u' ends at 5\.000 s, the recording at 4\.000 s"):
        read_utterance(utterance, sample_rate=RATE)
    with pytest.raises(ValueError, match="no channel 2, it has 1"):
        read_utterance(Utterance("u", audio, "ann", 1.0, 2, 0.0), sample_rate=RATE)
    with pytest.raises(ValueError, match=r"starts at -1\.0 s; expected 0 or later"):
        Utterance("u", audio, "ann", 1.0, start_s=-1.0)


def test_a_part_at_another_rate_lasts_as_long(tapes: Path) -> None:
    utterance = Utterance("u", str(tapes / "audio" / "ann.wav"), "ann", 1.5, start_s=2.0)
    assert len(read_utterance(utterance, sample_rate=16000)) == 24000


# export


def exported(tapes: Path) -> tuple[Path, list[Utterance]]:
    """A manifest of a whole tape and two parts of another."""
    audio = {s: str(tapes / "audio" / f"{s}.wav") for s in SPEAKERS}
    utterances = [
        Utterance("cid", audio["cid"], "cid", 4.0),
        Utterance("ann-b", audio["ann"], "ann", 2.0, start_s=1.0),
        Utterance("ann-a", audio["ann"], "ann", 1.0, start_s=0.0),
    ]
    write_manifest(tapes / "test.jsonl", utterances)
    hypotheses = [
        Hypothesis("ann-b", ("b", "ə"), (0.5, 0.75), (0.75, 1.0), (0.9, 0.5)),
        Hypothesis("cid", ("s",), (1.0,), (2.0,), (0.25,)),
    ]
    write_hypotheses(tapes / "phones.tsv", hypotheses)
    write_word_hypotheses(
        tapes / "words.tsv", [WordHypothesis("ann-a", ("hello",), (0.1,), (0.6,), (0.7,))]
    )
    return tapes / "test.jsonl", utterances


def test_lhotse_reads_what_is_exported(tapes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest, _ = exported(tapes)
    command = ["export-data", str(manifest), "--format", "lhotse", "--out", str(tapes / "out")]
    assert main([*command, "--hypotheses", str(tapes / "phones.tsv")]) == 0
    assert "3 utterances, 2 of them recognised written to" in capsys.readouterr().out
    out = tapes / "out"
    recordings = lhotse.load_manifest(out / "recordings.jsonl.gz")
    supervisions = lhotse.load_manifest(out / "supervisions.jsonl.gz")
    cuts = lhotse.load_manifest(out / "cuts.jsonl.gz")
    for manifest_set in (recordings, supervisions, cuts):
        lhotse.validate(manifest_set)
    assert {r.id for r in recordings} == {"ann", "cid"}
    found = {cut.id: cut for cut in cuts}
    assert (found["ann-b"].start, found["ann-b"].duration) == (1.0, 2.0)
    np.testing.assert_allclose(found["ann-b"].load_audio()[0], ramp(4)[RATE : 3 * RATE], atol=1e-6)
    (supervision,) = found["ann-b"].supervisions
    assert (supervision.text, supervision.speaker) == ("b ə", "ann")
    first, second = supervision.alignment["phone"]
    assert (second.symbol, second.start, second.duration, second.score) == ("ə", 0.75, 0.25, 0.5)
    assert first.end == 0.75
    assert {s.id: s.start for s in supervisions}["ann-b"] == 1.0
    again = LhotseCorpus(train=str(out / "cuts.jsonl.gz"), text="-").read(
        str(out / "cuts.jsonl.gz")
    )
    assert again.sentences == {"ann-b": "b ə", "cid": "s"}
    assert {(r.utterance_id, r.start_s, r.duration_s) for r in again.recordings} == {
        ("cid", None, None),
        ("ann-a", 0.0, 1.0),
        ("ann-b", 1.0, 2.0),
    }


def test_a_kaldi_directory_is_exported_sorted_with_times(tapes: Path) -> None:
    manifest, _ = exported(tapes)
    command = ["export-data", str(manifest), "--format", "kaldi", "--out", str(tapes / "out")]
    assert main([*command, "--hypotheses", str(tapes / "phones.tsv")]) == 0
    found = {path.name: path.read_text("utf-8").splitlines() for path in (tapes / "out").iterdir()}
    audio = tapes / "audio"
    assert found == {
        "wav.scp": [f"ann {audio}/ann.wav", f"cid {audio}/cid.wav"],
        "segments": [
            "ann-a ann 0.000000 1.000000",
            "ann-b ann 1.000000 3.000000",
            "cid cid 0.000000 4.000000",
        ],
        "utt2spk": ["ann-a ann", "ann-b ann", "cid cid"],
        "spk2utt": ["ann ann-a ann-b", "cid cid"],
        "text": ["ann-b b ə", "cid s"],
        "ctm": [
            "ann 1 1.500 0.250 b 0.9000",
            "ann 1 1.750 0.250 ə 0.5000",
            "cid 1 1.000 1.000 s 0.2500",
        ],
    }
    words = ["--hypotheses", str(tapes / "words.tsv")]
    assert main([*command[:-1], str(tapes / "words"), *words]) == 0
    assert (tapes / "words" / "text").read_text() == "ann-a hello\n"
    (tapes / "out" / "text").unlink()
    read = KaldiCorpus(train=str(tapes / "out"), text="-").read(str(tapes / "out"))
    assert {(r.utterance_id, r.start_s, r.duration_s) for r in read.recordings} == {
        ("cid", 0.0, 4.0),
        ("ann-a", 0.0, 1.0),
        ("ann-b", 1.0, 2.0),
    }


@pytest.mark.parametrize("form", ["kaldi", "lhotse"])
def test_an_export_that_fails_leaves_nothing(
    form: str, tapes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, utterances = exported(tapes)
    out = tapes / "out"
    command = ["export-data", str(manifest), "--format", form, "--out", str(out)]
    (tapes / "phones.tsv").write_text(
        "utterance_id\tphones\tstarts_s\tends_s\tconfidences\nx\ta\t\t\t\n"
    )
    assert main([*command, "--hypotheses", str(tapes / "phones.tsv")]) == 1
    assert "1 of 1 hypotheses are for utterances" in capsys.readouterr().err
    assert main([*command, "--hypotheses", str(tapes / "none.tsv")]) == 2
    other = tapes / "other"
    other.mkdir()
    soundfile.write(other / "ann.wav", ramp(4), RATE)
    twice = Utterance("ann-c", str(other / "ann.wav"), "ann", 1.0, start_s=1.0)
    write_manifest(manifest, [*utterances, twice])
    assert main(command) == 1
    assert "rename" in capsys.readouterr().err
    assert not list(tapes.glob("out*"))
    write_manifest(manifest, utterances)
    out.mkdir()
    (out / "mine.txt").touch()
    assert main(command) == 2
    assert "is there already" in capsys.readouterr().err


def test_kaldi_hears_one_channel_and_lhotse_all(
    tapes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stereo = tapes / "stereo.wav"
    soundfile.write(stereo, np.stack([ramp(1), ramp(1)], 1), RATE)
    write_manifest(
        tapes / "two.jsonl",
        [Utterance("mean", str(stereo), "s", 1.0), Utterance("right", str(stereo), "s", 1.0, 2)],
    )
    command = ["export-data", str(tapes / "two.jsonl"), "--out", str(tapes / "out"), "--format"]
    assert main([*command, "kaldi"]) == 1
    assert "several channels" in capsys.readouterr().err
    assert main([*command, "lhotse"]) == 0
    cuts = {cut.id: cut for cut in lhotse.load_manifest(tapes / "out" / "cuts.jsonl.gz")}
    assert (cuts["mean"].channel, cuts["right"].channel) == ([0, 1], 1)
    assert cuts["mean"].load_audio().shape == (2, RATE)
