"""TIMIT in its published layout: what is read, who is in which split, what is refused."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import soundfile

from tests.unsup_asr.fake_timit import KINDS, WORDS, write_timit
from unsup_asr.corpora.timit import TimitCorpus
from unsup_asr.corpora.timit_files import Labelled, TimitUtterance, find_utterances
from unsup_asr.corpora.timit_phones import SILENT, PhoneRule
from unsup_asr.corpora.timit_splits import (
    CORE_DEV_SPEAKERS,
    CORE_TEST_SPEAKERS,
    TimitSplit,
    derived_split,
)
from unsup_asr.formats.hypotheses import read_transcripts
from unsup_asr.formats.manifest import read_manifest
from unsup_asr.scoring.folds import read_fold_table
from unsup_asr.speech.audio import read_audio


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("timit") / "TIMIT"
    write_timit(folder)
    return folder


def build(root: Path, out: Path, **options: object) -> dict:
    out.mkdir(parents=True, exist_ok=True)
    corpus = TimitCorpus(root=str(root), allow_incomplete=True, **options)  # type: ignore[arg-type]
    corpus.build(out)
    corpus.build_references(out, out)
    return json.loads((out / "corpus.json").read_text("utf-8"))


def whole_timit() -> list[TimitUtterance]:
    """As many speakers and sentences as TIMIT has, without files."""
    test = sorted(CORE_DEV_SPEAKERS | CORE_TEST_SPEAKERS)
    test += [f"MX{n:02}0" for n in range(168 - len(test))]
    speakers = [("TEST", name) for name in test] + [("TRAIN", f"FY{n:03}") for n in range(462)]
    nowhere = Path()
    return [
        TimitUtterance(portion, speaker, kind, nowhere, nowhere, nowhere)
        for portion, speaker in speakers
        for kind in KINDS
    ]


def kinds(utterances: list[TimitUtterance]) -> dict[str, int]:
    return dict(Counter(utterance.kind for utterance in utterances))


# Splits


def test_the_matched_setup_has_the_published_counts() -> None:
    split = derived_split(whole_timit(), setup="matched", test_set="core_test", seed=0)
    assert kinds(split.train) == {"SX": 2310, "SI": 1386}
    assert len({u.speaker for u in split.train}) == 462
    assert split.text == split.train
    assert (len(split.dev), len({u.speaker for u in split.dev})) == (400, 50)
    assert (len(split.test), len({u.speaker for u in split.test})) == (192, 24)
    assert {u.portion for u in split.dev + split.test} == {"TEST"}
    assert not {u.speaker for u in split.dev} & {u.speaker for u in split.test}


def test_the_unmatched_setup_has_the_published_counts_and_no_shared_utterance() -> None:
    split = derived_split(whole_timit(), setup="unmatched", test_set="all_test", seed=0)
    assert kinds(split.train) == {"SX": 1585, "SI": 778, "SA": 637}
    assert kinds(split.text) == {"SX": 543, "SI": 217, "SA": 240}
    assert kinds(split.dev) == {"SX": 182, "SI": 391, "SA": 47}
    assert (len(split.test), kinds(split.test)["SA"]) == (1680, 336)
    ids = [u.id for part in (split.train, split.text, split.dev, split.test) for u in part]
    assert len(ids) == len(set(ids)) == 6300
    assert "not the lists of Chen et al. 2019" in split.source


def test_the_unmatched_split_is_drawn_by_its_seed_alone() -> None:
    def drawn(seed: int) -> TimitSplit:
        return derived_split(whole_timit(), setup="unmatched", test_set="all_test", seed=seed)

    assert drawn(0) == drawn(0)
    assert drawn(0).text != drawn(1).text


# Building


def test_matched_text_is_the_shuffled_transcripts_of_the_training_speech(
    root: Path, tmp_path: Path
) -> None:
    summary = build(root, tmp_path)
    train = read_manifest(tmp_path / "train.jsonl")
    assert len(train) == 4 * 8
    assert not any("_SA" in u.id for u in train)
    lines = (tmp_path / "text.txt").read_text("utf-8").splitlines()
    flat = [line.split("\t")[1].replace(" |", "").split() for line in lines]
    spoken = [list(t.phones) for t in read_transcripts(tmp_path / "references" / "train.tsv")]
    assert sorted(flat) == sorted(spoken)
    assert flat != spoken
    assert summary["train"]["kinds"] == {"SI": 12, "SX": 20}
    assert summary["splits_from"] == "standard speakers"
    assert [u.speaker for u in read_manifest(tmp_path / "dev.jsonl")] == ["FADG0"] * 8
    assert [u.speaker for u in read_manifest(tmp_path / "test.jsonl")] == ["MDAB0"] * 8


@pytest.mark.parametrize("setup", ["matched", "unmatched"])
def test_what_is_said_in_dev_and_test_lies_in_references_alone(
    root: Path, tmp_path: Path, setup: str
) -> None:
    build(root, tmp_path, setup=setup)
    corpus = TimitCorpus(root=str(root), setup=setup, allow_incomplete=True)
    split = corpus._split()
    lines = (tmp_path / "text.txt").read_text("utf-8").splitlines()
    assert sorted(lines) == sorted(corpus._text_line(utterance) for utterance in split.text)
    for name in ("train", "dev", "test"):
        for record in (tmp_path / f"{name}.jsonl").read_text("utf-8").splitlines():
            assert set(json.loads(record)) == {"id", "audio", "speaker", "duration_s"}
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {
        *("train.jsonl", "dev.jsonl", "test.jsonl", "text.txt", "corpus.json")
    }
    parts = [split.text, split.dev, split.test]
    parts += [split.train] if setup == "unmatched" else []
    ids = [{utterance.id for utterance in part} for part in parts]
    assert sum(map(len, ids)) == len(set.union(*ids))


def test_references_are_39_phones_with_the_times_of_the_audio(root: Path, tmp_path: Path) -> None:
    build(root, tmp_path)
    references = read_transcripts(tmp_path / "references" / "test.tsv")
    audio = {u.id: u for u in read_manifest(tmp_path / "test.jsonl")}
    known = set(read_fold_table("timit_39").phones)
    for reference in references:
        utterance = audio[reference.utterance_id]
        assert set(reference.phones) <= known
        assert reference.phones[0] == reference.phones[-1] == "sil"
        assert reference.ends_s[-1] == pytest.approx(utterance.duration_s, abs=1e-4)
    assert len(read_audio(audio[references[0].utterance_id].audio)) > 16000


def test_silence_can_be_dropped_from_text_and_references_alike(root: Path, tmp_path: Path) -> None:
    build(root, tmp_path, silence="drop")
    assert "sil" not in (tmp_path / "text.txt").read_text("utf-8")
    references = read_transcripts(tmp_path / "references" / "test.tsv")
    assert not any("sil" in reference.phones for reference in references)


@pytest.mark.parametrize(("fold", "expected"), [("timit_48", "vcl"), (None, "bcl")])
def test_other_phone_sets_can_be_asked_for(
    root: Path, tmp_path: Path, fold: str | None, expected: str
) -> None:
    build(root, tmp_path, fold=fold)
    assert f" {expected} " in (tmp_path / "text.txt").read_text("utf-8")


def test_lower_case_copies_read_the_same(tmp_path: Path) -> None:
    for name, lower in (("upper", False), ("lower", True)):
        write_timit(tmp_path / name, train=("FAAA0",), lower=lower)
        build(tmp_path / name, tmp_path / f"{name}-out")
    one, other = (tmp_path / "upper-out", tmp_path / "lower-out")
    assert (one / "text.txt").read_text() == (other / "text.txt").read_text()
    ids = [[u.id for u in read_manifest(out / "test.jsonl")] for out in (one, other)]
    assert ids[0] == ids[1]


def test_all_test_has_every_test_speaker_and_sa(root: Path, tmp_path: Path) -> None:
    for options in ({"test_set": "all_test"}, {"setup": "unmatched"}):  # there it is the usual one
        summary = build(root, tmp_path, **options)
        assert summary["test"]["num_utterances"] == 30
        assert summary["test"]["kinds"]["SA"] == 6
    summary = build(root, tmp_path, setup="unmatched", test_set="core_test")
    assert summary["test"]["kinds"] == {"SI": 3, "SX": 5}


def test_lists_decide_the_split(root: Path, tmp_path: Path) -> None:
    ids = [u.id for u in find_utterances(root, allow_incomplete=True)]
    lists = write_lists(tmp_path, ids)
    summary = build(root, tmp_path / "out", setup="unmatched", uid_lists=str(lists))
    assert [u.id for u in read_manifest(tmp_path / "out" / "train.jsonl")] == ids[:20]
    assert summary["num_text_sentences"] == 10
    assert summary["splits_from"] == f"lists in {lists}"


def write_lists(folder: Path, ids: list[str]) -> Path:
    lists = folder / "lists"
    lists.mkdir()
    bounds = {"train": (0, 20), "train_text": (20, 30), "valid": (30, 40), "test": (40, 50)}
    for name, (start, stop) in bounds.items():
        (lists / f"{name}.uid").write_text("\n".join(ids[start:stop]) + "\n")
    return lists


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("valid", None, r"valid\.uid: no such list.*FADG0_SI1279"),
        ("valid", "XXXX0_SI1", r"1 of 1 ids are not in the corpus.*'XXXX0_SI1'"),
        ("valid", "FAAA0_SA1\nFAAA0_SA1", "1 ids are there twice"),
        ("train_text", "FAAA0_SA1", r"in both train\.uid and train_text\.uid \(first: FAAA0_SA1"),
        ("test", "FAAA0_SA1", r"in both train\.uid and test\.uid"),
    ],
)
def test_bad_lists_are_refused(
    root: Path, tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    lists = write_lists(tmp_path, [u.id for u in find_utterances(root, allow_incomplete=True)])
    (lists / f"{name}.uid").unlink()
    if content is not None:
        (lists / f"{name}.uid").write_text(content)
    (lists / "train.uid").write_text("FAAA0_SA1\n")
    with pytest.raises(ValueError, match=message):
        build(root, tmp_path / "out", setup="unmatched", uid_lists=str(lists))


# Phones and words


def rule(silence: str = "count") -> PhoneRule:
    return PhoneRule(read_fold_table("timit_39"), silence)


def spans(text: str) -> list[Labelled]:
    found = (part.split(":") for part in text.split())
    return [Labelled(int(start), int(end), label) for start, end, label in found]


def test_every_silent_phone_folds_to_sil_and_no_other_does() -> None:
    table = read_fold_table("timit_39")
    assert {phone for phone, to in table.of_phone.items() if to == "sil"} == SILENT


def test_silences_are_never_merged_and_the_glottal_stop_is_removed() -> None:
    phones = spans("0:1:h# 1:2:tcl 2:3:t 3:4:q 4:5:tcl 5:6:pau 6:7:h#")
    found = rule().transcript("u", phones, source="x")
    assert found.phones == ("sil", "sil", "t", "sil", "sil", "sil")
    assert found.starts_s[2] == 2 / 16000
    assert rule("drop").transcript("u", phones, source="x").phones == ("t",)


@pytest.mark.parametrize(
    ("phones", "words", "expected"),
    [
        (
            "0:9:h# 9:20:sh 20:30:iy 30:40:hv 40:50:ae 50:60:dcl 60:70:h#",
            "9:30:she 30:60:had",
            "<sil>=sil she=sh.iy had=hh.ae.sil <sil>=sil",
        ),
        # one s said for two words belongs to the one that has more of it
        ("0:10:r 10:30:s 30:40:ux", "0:16:dress 16:40:suit", "dress=r suit=s.uw"),
        # a pause inside a word is the word's; between words it stands alone
        ("0:5:b 5:8:pau 8:9:ao 9:12:pau", "0:9:boy 12:13:x", "boy=b.sil.aa <sil>=sil"),
        # a sound outside any word goes to the word before it, behind silence to the next
        ("0:5:b 5:8:ax 8:9:pau 9:10:hh 10:12:iy", "0:5:a 10:12:he", "a=b.ah <sil>=sil he=hh.iy"),
    ],
)
def test_phones_are_divided_among_words(phones: str, words: str, expected: str) -> None:
    found = rule().words(spans(phones), spans(words), source="x")
    assert " ".join(f"{name}={'.'.join(said)}" for name, said in found) == expected


def test_the_fake_has_no_label_that_timit_lacks() -> None:
    known = set(read_fold_table("timit_39").of_phone)
    assert {phone for said in WORDS.values() for phone in said.split()} <= known


# What is refused


@pytest.fixture
def own(tmp_path: Path) -> Path:
    write_timit(tmp_path / "TIMIT", train=("FAAA0",), test=("MDAB0", "FADG0"))
    return tmp_path / "TIMIT"


def test_a_corpus_that_is_not_whole_says_what_is_missing(own: Path) -> None:
    with pytest.raises(ValueError, match="10 recordings in TRAIN, TIMIT has 4620, 1 speakers"):
        find_utterances(own, allow_incomplete=False)
    for path in own.glob("TRAIN/DR1/FAAA0/SX9.*"):
        path.unlink()
    with pytest.raises(ValueError, match=r"1 of 1 speakers have another.*first: FAAA0, 9\)"):
        find_utterances(own, allow_incomplete=False)


@pytest.mark.parametrize(
    ("lacking", "message"),
    [
        ("TEST/DR1/MDAB0/SX9.PHN", r"1 of 20 utterances have no \.PHN file.*MDAB0/SX9"),
        ("TEST/DR1/MDAB0/SX9.WAV", r"1 of 20 utterances have no \.WAV file.*MDAB0/SX9"),
        ("TEST/DR1/MDAB0/SX9.WRD", r"have no \.WRD file"),
    ],
)
def test_a_recording_without_its_files_is_named(own: Path, lacking: str, message: str) -> None:
    (own / lacking).unlink()
    with pytest.raises(ValueError, match=message):
        build(own, own.parent / "out")


def test_a_missing_portion_or_a_folder_too_high_is_named(own: Path) -> None:
    with pytest.raises(ValueError, match=r"no folder TRAIN.*TIMIT has one: set corpus\.root"):
        build(own.parent, own.parent / "out")
    (own / "TEST").rename(own / "TSET")
    with pytest.raises(ValueError, match="no folder TEST; expected TRAIN and TEST"):
        build(own, own.parent / "out")
    with pytest.raises(ValueError, match="nowhere: no such folder"):
        build(own / "nowhere", own.parent / "out")


@pytest.mark.parametrize("num_bytes", [512, 9000])
def test_a_damaged_recording_is_named(own: Path, num_bytes: int) -> None:
    path = own / "TRAIN/DR1/FAAA0/SI649.WAV"
    path.write_bytes(path.read_bytes()[:num_bytes])
    with pytest.raises(ValueError, match=r"SI649\.WAV: .*was cut off. Copy it again$"):
        build(own, own.parent / "out")


def test_a_recording_that_ends_before_its_labels_is_named(own: Path) -> None:
    path = own / "TRAIN/DR1/FAAA0/SI649.WAV"
    soundfile.write(path, read_audio(path)[:4000], 16000, format="NIST")
    message = r"FAAA0_SI649: .* 0\.25 s of audio.*labels end at 1\."
    with pytest.raises(ValueError, match=message):
        build(own, own.parent / "out")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("0 100 h#\n100 aa\n", r"SI649\.PHN:2: '100 aa'; expected two sample"),
        ("0 100 h#\n100 90 aa\n", r"SI649\.PHN:2: .*too early"),
        ("", r"SI649\.PHN: no labels"),
        ("0 100 zz\n", r"SI649\.PHN: phone 'zz' is not in the fold table timit_39"),
    ],
)
def test_damaged_labels_are_named_with_their_line(own: Path, content: str, message: str) -> None:
    (own / "TRAIN/DR1/FAAA0/SI649.PHN").write_text(content)
    with pytest.raises(ValueError, match=message):
        build(own, own.parent / "out")


def test_a_part_without_core_speakers_cannot_be_scored(tmp_path: Path) -> None:
    write_timit(tmp_path / "TIMIT", train=("FAAA0",), test=("MZZZ0",))
    with pytest.raises(ValueError, match=r"the split 'dev'.*has no utterance"):
        build(tmp_path / "TIMIT", tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"setup": "both"}, "setup is 'both'; expected one of matched, unmatched"),
        ({"test_set": "dev"}, "test_set is 'dev'"),
        ({"test_set": "core_test", "uid_lists": "x"}, "leave test_set null"),
        ({"fold": "timit_40"}, "timit_40: no such fold table"),
        ({"silence": "merge"}, "silence is 'merge'; expected one of count, drop"),
    ],
)
def test_impossible_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TimitCorpus(root="x", **options)
