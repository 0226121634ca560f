import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from omegaconf import OmegaConf

from unsup_asr.corpora.folder import FolderCorpus
from unsup_asr.corpora.folder_references import read_references
from unsup_asr.corpora.speaker_split import split_by_speaker
from unsup_asr.formats.hypotheses import read_transcripts, read_words
from unsup_asr.formats.manifest import read_manifest
from unsup_asr.speech.audio import read_utterance
from unsup_asr.types import Utterance

SPLITS = ("train", "dev", "test")


def record(path: Path, seconds: float = 0.1, rate: int = 8000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:  # soundfile itself takes no name that is not Unicode
        samples = np.full(int(seconds * rate), 0.1)
        soundfile.write(file, samples, rate, format=path.suffix[1:].upper())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Ten speakers of two utterances, some as wav and some as flac."""
    lines = ["utterance_id\tspeaker\twords\tphones"]
    for i in range(10):
        record(tmp_path / "audio" / f"s{i}" / f"u{i}a.wav")
        record(tmp_path / "audio" / f"s{i}" / f"u{i}b.FLAC")
        lines += [f"u{i}{c}\tvoice{i}\thello world {i}\th ə l oʊ" for c in "ab"]
    (tmp_path / "references.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    (tmp_path / "text.txt").write_text("some text\n\nmore text\n", "utf-8")
    return tmp_path


def folder_corpus(data: Path, **options: object) -> FolderCorpus:
    chosen = {
        "audio": str(data / "audio"),
        "text": str(data / "text.txt"),
        "references": str(data / "references.tsv"),
    }
    return FolderCorpus(**(chosen | options))  # type: ignore[arg-type]


def build(corpus: FolderCorpus, out: Path) -> None:
    """The corpus, and what was said in it."""
    corpus.build(out)
    corpus.build_references(out, out)


def manifests(out: Path) -> dict[str, list[Utterance]]:
    return {split: read_manifest(out / f"{split}.jsonl") for split in SPLITS}


def test_a_folder_becomes_three_splits_without_a_shared_speaker(data: Path, tmp_path: Path):
    out = tmp_path / "out"
    build(folder_corpus(data), out)
    splits = manifests(out)
    speakers = [{u.speaker for u in splits[split]} for split in SPLITS]
    assert [len(splits[split]) for split in SPLITS] == [16, 2, 2]
    assert sum(map(len, speakers)) == len(set.union(*speakers)) == 10
    assert speakers[0] < {f"s{i}" for i in range(10)}
    assert (out / "text.txt").read_text("utf-8") == "some text\nmore text\n"
    for split in SPLITS:
        words = read_words(out / "references" / f"{split}.words.tsv")
        assert words == {u.id: ("hello", "world", u.id[1]) for u in splits[split]}
        assert not (out / "references" / f"{split}.tsv").exists()
    summary = json.loads((out / "corpus.json").read_text("utf-8"))
    assert (summary["num_text_sentences"], summary["num_skipped"]) == (2, 0)
    assert summary["train"]["num_speakers"] == 8


def test_references_as_phones_are_written_as_phones(data: Path, tmp_path: Path):
    build(folder_corpus(data, reference_kind="phones"), tmp_path / "out")
    transcripts = read_transcripts(tmp_path / "out" / "references" / "test.tsv")
    assert {t.phones for t in transcripts} == {("h", "ə", "l", "oʊ")}


def test_the_seed_decides_the_split(data: Path, tmp_path: Path):
    tests = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1), ("d", 2)):
        folder_corpus(data, seed=seed).build(tmp_path / name)
        tests.append(tuple(u.id for u in manifests(tmp_path / name)["test"]))
    assert tests[0] == tests[1]
    assert len(set(tests)) > 1


def test_without_references_the_folder_is_the_speaker_and_nothing_is_to_score(
    data: Path, tmp_path: Path
):
    folder_corpus(data, references=None).build(tmp_path / "out")
    speakers = {u.speaker for split in manifests(tmp_path / "out").values() for u in split}
    assert speakers == {f"s{i}" for i in range(10)}
    assert not (tmp_path / "out" / "references").exists()


def test_files_in_no_subfolder_are_speakers_of_their_own(data: Path, tmp_path: Path):
    for i in range(5):
        record(tmp_path / "flat" / f"x{i}.wav")
    folder_corpus(data, references=None, audio=str(tmp_path / "flat")).build(tmp_path / "out")
    utterances = [u for split in manifests(tmp_path / "out").values() for u in split]
    assert all(u.speaker == u.id for u in utterances)


def test_a_single_speaker_is_split_by_utterance_with_a_warning(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    for i in range(5):
        record(tmp_path / "one" / "linda" / f"x{i}.wav")
    with caplog.at_level(logging.WARNING):
        folder_corpus(data, references=None, audio=str(tmp_path / "one")).build(tmp_path / "out")
    assert "too few to hold any out" in caplog.text
    assert [len(split) for split in manifests(tmp_path / "out").values()] == [3, 1, 1]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.iterdir() if p.is_file()
    }


def test_references_decide_nothing_of_manifests_and_text(data: Path, tmp_path: Path):
    table = (data / "references.tsv").read_text("utf-8").splitlines()
    folder_corpus(data, references=None).build(tmp_path / "without")
    folder_corpus(data).build(tmp_path / "with")
    (data / "references.tsv").write_text("\n".join(table[:7]) + "\n", "utf-8")
    folder_corpus(data).build(tmp_path / "few")
    assert (
        contents(tmp_path / "without") == contents(tmp_path / "with") == contents(tmp_path / "few")
    )


def test_unreferenced_utterances_are_heard_and_not_scored_when_allowed(data: Path, tmp_path: Path):
    lines = (data / "references.tsv").read_text("utf-8").splitlines()
    (data / "references.tsv").write_text("\n".join(lines[:15]) + "\n", "utf-8")
    with pytest.raises(ValueError, match=r"6 of 20 utterances have no reference.*'u7a'"):
        build(folder_corpus(data), tmp_path / "out")
    (tmp_path / "out").mkdir(exist_ok=True)
    build(folder_corpus(data, allow_unreferenced=True, test_fraction=0.6), tmp_path / "out")
    heard = {u.id for u in manifests(tmp_path / "out")["test"]}
    scored = read_words(tmp_path / "out" / "references" / "test.words.tsv")
    assert set(scored) == {i for i in heard if int(i[1]) < 7} != heard


def test_a_test_split_without_any_reference_cannot_be_scored(data: Path, tmp_path: Path):
    corpus = folder_corpus(data, allow_unreferenced=True)
    corpus.build(tmp_path / "out")
    test = {u.id for u in manifests(tmp_path / "out")["test"]}
    lines = (data / "references.tsv").read_text("utf-8").splitlines()
    kept = [line for line in lines if line.split("\t")[0] not in test]
    (data / "references.tsv").write_text("\n".join(kept) + "\n", "utf-8")
    with pytest.raises(ValueError, match="none of the 2 utterances of test has a reference"):
        corpus.build_references(tmp_path / "out", tmp_path / "out")


def speakers_of(corpus: FolderCorpus, out: Path) -> dict[str, str]:
    corpus.build(out)
    return {u.id: u.speaker for split in manifests(out).values() for u in split}


def test_the_speaker_is_the_first_folder_below_audio_whatever_lies_deeper(
    data: Path, tmp_path: Path
):
    for speaker in ("alice", "bob", "carol"):
        for day in ("day1", "day2"):
            record(tmp_path / "deep" / speaker / day / f"{speaker}{day}.wav")
    corpus = folder_corpus(data, references=None, audio=str(tmp_path / "deep"))
    found = speakers_of(corpus, tmp_path / "out")
    assert found == {f"{s}day{d}": s for s in ("alice", "bob", "carol") for d in (1, 2)}
    summary = json.loads((tmp_path / "out" / "corpus.json").read_text("utf-8"))
    assert summary["speakers_from"].startswith("the first folder below")


def test_the_speaker_can_stand_in_the_path_or_in_a_table(data: Path, tmp_path: Path):
    pattern = folder_corpus(data, references=None, speaker_pattern=r"s(\d)/")
    assert set(speakers_of(pattern, tmp_path / "a").values()) == {str(i) for i in range(10)}
    table = folder_corpus(data, references=None, speakers=str(data / "references.tsv"))
    assert speakers_of(table, tmp_path / "b")["u3a"] == "voice3"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"speaker_pattern": "x(y)"},
            r"finds no speaker in 20 of 20 paths \(first: 's0/u0a.wav'\)",
        ),
        ({"speaker_pattern": "s"}, "has 0 groups; expected one"),
        ({"speaker_pattern": "("}, "speaker_pattern '\\('"),
        ({"speakers": "none.tsv"}, r"none\.tsv: no such file"),
        ({"speakers": "a", "speaker_pattern": "(b)"}, "expected one of them at most"),
    ],
)
def test_speakers_that_cannot_be_found_are_an_error(data: Path, options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        folder_corpus(data, references=None, **options).build(data / "out")


def test_a_table_of_speakers_that_lacks_some_or_contradicts_itself_is_an_error(data: Path):
    (data / "s.tsv").write_text("utterance_id\tspeaker\nu0a\tx\n", "utf-8")
    with pytest.raises(ValueError, match=r"s\.tsv: 19 of 20 utterances have no speaker"):
        folder_corpus(data, speakers=str(data / "s.tsv")).build(data / "out")
    (data / "s.tsv").write_text("utterance_id\tspeaker\nu0a\tx\nu0a\ty\n", "utf-8")
    with pytest.raises(ValueError, match=r"s\.tsv:3: utterance 'u0a' has the speaker 'y', before"):
        folder_corpus(data, speakers=str(data / "s.tsv")).build(data / "out")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"audio": "nowhere"}, "nowhere: no such folder"),
        ({"text": "nothing.txt"}, r"nothing\.txt: no such file; `text`"),
        ({"references": "none.tsv"}, r"none\.tsv: no such file"),
        ({"reference_kind": "letters"}, "reference_kind is 'letters'; expected one of words, ph"),
        ({"dev_fraction": 0.6, "test_fraction": 0.6}, "is 1.2; expected less than 1"),
        ({"test_fraction": 0.0}, "test_fraction is 0.0"),
    ],
)
def test_impossible_options_are_refused(data: Path, options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        build(folder_corpus(data, **options), data / "out")


def test_a_folder_without_audio_is_refused(data: Path):
    (data / "empty").mkdir()
    (data / "empty" / "notes.txt").write_text("hello")
    with pytest.raises(ValueError, match=r"empty: no audio found.*\.flac"):
        folder_corpus(data, audio=str(data / "empty")).build(data / "out")


@pytest.mark.parametrize(("content", "message"), [("", "no text"), ("\n \n", "no text")])
def test_an_empty_text_is_refused(data: Path, content: str, message: str):
    (data / "text.txt").write_text(content)
    with pytest.raises(ValueError, match=rf"text\.txt: {message}"):
        folder_corpus(data).build(data / "out")


def test_text_that_is_not_utf8_is_refused(data: Path):
    (data / "text.txt").write_bytes(b"na\xefve")
    with pytest.raises(ValueError, match=r"text\.txt:1: not UTF-8 \(byte 3"):
        folder_corpus(data).build(data / "out")


def test_corrupt_audio_is_named_or_skipped_with_its_reason(data: Path, tmp_path: Path):
    (data / "audio" / "s3" / "u3a.wav").write_bytes(b"RIFF rubbish")
    with pytest.raises(ValueError, match=r"u3a\.wav: cannot be read.*skip_unreadable=true"):
        folder_corpus(data).build(tmp_path / "out")
    folder_corpus(data, skip_unreadable=True).build(tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "corpus.json").read_text("utf-8"))
    assert summary["num_skipped"] == 1
    assert "u3a.wav" in summary["skipped"][0]["file"]
    assert "cannot be read" in summary["skipped"][0]["why"]
    assert sum(map(len, manifests(tmp_path / "out").values())) == 19


def test_empty_audio_is_named(data: Path):
    record(data / "audio" / "s4" / "u4a.wav", seconds=0)
    with pytest.raises(ValueError, match=r"u4a\.wav: no samples"):
        folder_corpus(data).build(data / "out")


def test_a_corpus_of_unreadable_audio_is_refused_even_when_skipping(data: Path):
    (data / "bad").mkdir()
    (data / "bad" / "a.wav").write_bytes(b"")
    with pytest.raises(ValueError, match="none of its 1 audio files can be read"):
        folder_corpus(data, audio=str(data / "bad"), references=None, skip_unreadable=True).build(
            data / "out"
        )


def test_two_files_of_one_name_are_refused(data: Path):
    record(data / "audio" / "s9" / "u0a.wav")
    with pytest.raises(ValueError, match=r"two files have the utterance id 'u0a'.*s0.*s9"):
        folder_corpus(data).build(data / "out")


@pytest.mark.parametrize("name", ["u 0a.wav", "u\t0a.wav"])
def test_names_that_become_one_id_are_refused(data: Path, name: str):
    record(data / "audio" / "s9" / name)
    record(data / "audio" / "s9" / "u_0a.wav")
    with pytest.raises(ValueError, match="two files have the utterance id 'u_0a'") as error:
        folder_corpus(data).build(data / "out")
    assert "\t" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "in_table"),
    [
        ("cafe\u0301", "caf\u00e9"),
        ("caf\u00e9", "cafe\u0301"),
        ("a b", "a b"),
        ("a b", "a_b"),
        ("a\u2028b", "a_b"),
        ("x\x1b[31m", r"x\x1b[31m"),
        (os.fsdecode(b"caf\xe9"), r"caf\xe9"),
    ],
)
def test_any_name_of_a_file_is_heard_and_found_in_the_table(
    data: Path, tmp_path: Path, name: str, in_table: str
):
    record(data / "audio" / name / f"{name}.wav", seconds=9)
    with (data / "references.tsv").open("a", encoding="utf-8") as table:
        table.write(f"{in_table}\tv\tsaid in it\th\n")
    build(folder_corpus(data), tmp_path / "out")
    said: dict[str, tuple[str, ...]] = {}
    for split in SPLITS:
        said |= read_words(tmp_path / "out" / "references" / f"{split}.words.tsv")
    (key,) = [u.id for of in manifests(tmp_path / "out").values() for u in of if u.duration_s > 8]
    assert key.isprintable()
    assert said[key] == ("said", "in", "it")


def test_linked_speakers_are_heard_and_a_loop_of_links_ends(data: Path, tmp_path: Path):
    for i in range(3):
        (data / "audio" / f"s{i}").rename(tmp_path / f"moved{i}")
        (data / "audio" / f"s{i}").symlink_to(tmp_path / f"moved{i}")
    (data / "audio" / "s4" / "loop").symlink_to(data / "audio")
    found = speakers_of(folder_corpus(data), tmp_path / "out")
    assert len(found) == 20
    assert set(found.values()) == {f"s{i}" for i in range(10)}


def test_what_is_left_out_is_counted(data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    for name in ("a.m4a", "b.M4A", "c.wma", "notes.txt", "._u0a.wav", ".DS_Store", "README"):
        (data / "audio" / "s1" / name).write_bytes(b"x")
    folder_corpus(data).build(tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "corpus.json").read_text("utf-8"))
    left_out = {".m4a": 2, ".txt": 1, ".wma": 1, "without a suffix": 1, "hidden": 2}
    assert summary["left_out"] == left_out
    assert "2 .m4a, 1 .wma left out, which libsndfile cannot read" in caplog.text


def test_broken_links_are_named_or_skipped_with_their_reason(data: Path, tmp_path: Path):
    (data / "audio" / "s1" / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    with pytest.raises(ValueError, match=r"gone\.wav: no such audio file, only a link to"):
        folder_corpus(data).build(tmp_path / "out")
    (data / "audio" / "s99").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"s99: a link to .*nowhere, which cannot be opened"):
        folder_corpus(data).build(tmp_path / "out")
    folder_corpus(data, references=None, skip_unreadable=True).build(tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "corpus.json").read_text("utf-8"))
    assert [Path(of["file"]).name for of in summary["skipped"]] == ["s99", "gone.wav"]


def two_channels(path: Path, left: float, right: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = np.sin(np.arange(8000) / 5)
    soundfile.write(path, np.stack([left * wave, right * wave], 1), 8000)


def test_the_channel_that_is_heard_stands_in_the_manifest(data: Path, tmp_path: Path):
    for i in range(4):
        two_channels(tmp_path / "stereo" / f"s{i}" / f"{i}.wav", 0.2, -0.25 if i == 2 else 0.4)
    options = {"audio": str(tmp_path / "stereo"), "references": None}
    heard: dict[str, Utterance] = {}
    for channel, expected in ((None, [None, None, 2, None]), (1, [1, 1, 1, 1])):
        folder_corpus(data, channel=channel, **options).build(tmp_path / "out")
        heard = {u.id: u for of in manifests(tmp_path / "out").values() for u in of}
        assert [heard[str(i)].channel for i in range(4)] == expected
    assert read_utterance(heard["2"], sample_rate=8000).max() == pytest.approx(0.2, abs=0.01)
    with pytest.raises(ValueError, match=r"0\.wav: no channel 3, it has 2"):
        folder_corpus(data, channel=3, **options).build(tmp_path / "out")


def test_little_audio_left_for_training_is_said(caplog: pytest.LogCaptureFixture):
    utterances = [Utterance(key, "a.wav", key, 60.0) for key in "abc"]
    split_by_speaker(utterances, dev_fraction=0.1, test_fraction=0.1, seed=0)
    assert "only 33 % of the audio is left for training (train 1.0 min, dev 1.0" in caplog.text
    caplog.clear()
    many = [Utterance(key, "a.wav", key, 60.0) for key in "abcdefghij"]
    split_by_speaker(many, dev_fraction=0.1, test_fraction=0.1, seed=0)
    assert caplog.text == ""


def test_references_for_unknown_utterances_are_refused(data: Path):
    with (data / "references.tsv").open("a") as file:
        file.write("ghost\tv\thello\th\n")
    with pytest.raises(ValueError, match=r"1 of 21 references.*'ghost'"):
        build(folder_corpus(data), data / "out")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id\twords\na\tb\n", r"r\.tsv:1: no column 'utterance_id' in the header \['id'"),
        ("utterance_id\tphones\na\tb\n", r"r\.tsv:1: no column 'words'"),
        ("", r"r\.tsv:1: no column"),
        ("utterance_id\twords\na\n", r"r\.tsv:2: 1 columns; the header has 2"),
        ("utterance_id\twords\na\tb\na\tc\n", r"r\.tsv:3: utterance 'a' again"),
        ("utterance_id\twords\na\t \n", r"r\.tsv:2: utterance 'a' has no words"),
        ("utterance_id\twords\n", r"r\.tsv: a header and no references"),
    ],
)
def test_bad_references_are_refused_with_their_line(tmp_path: Path, content: str, message: str):
    (tmp_path / "r.tsv").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_references(tmp_path / "r.tsv", kind="words")


def test_two_utterances_are_too_few_for_three_splits():
    utterances = [Utterance(key, "a.wav", key, 1.0) for key in "ab"]
    with pytest.raises(ValueError, match="2 utterances"):
        split_by_speaker(
            utterances,
            dev_fraction=0.1,
            test_fraction=0.1,
            seed=0,
        )


def test_a_recipe_can_name_the_folder():
    config = OmegaConf.merge(OmegaConf.structured(FolderCorpus), {"audio": "a", "text": "t"})
    assert config.reference_kind == "words"
