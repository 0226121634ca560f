"""LibriSpeech, MLS and Common Voice: what is read, what the text may hold, what is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.unsup_asr.fake_corpora import (
    COMMON_VOICE,
    LIBRISPEECH,
    MLS,
    noise,
    write_common_voice,
    write_librispeech,
    write_mls,
    write_table,
)
from unsup_asr.corpora.common_voice import CommonVoiceCorpus
from unsup_asr.corpora.languages import common_voice_locale, mls_name
from unsup_asr.corpora.librispeech import LibriSpeechCorpus
from unsup_asr.corpora.mls import MlsCorpus
from unsup_asr.corpora.text_lines import at_most, read_text
from unsup_asr.formats.hypotheses import read_words
from unsup_asr.formats.manifest import read_manifest

SPLITS = ("train", "dev", "test")


@pytest.fixture
def librispeech(tmp_path: Path) -> Path:
    write_librispeech(tmp_path / "LibriSpeech")
    return tmp_path / "LibriSpeech"


@pytest.fixture
def mls(tmp_path: Path) -> Path:
    write_mls(tmp_path)
    (tmp_path / "text.txt").write_text("ein satz\nUnd es ward Licht!\n\nnoch einer\n", "utf-8")
    return tmp_path


@pytest.fixture
def common_voice(tmp_path: Path) -> Path:
    write_common_voice(tmp_path / "cv-corpus-9.0-2022-04-27")
    return tmp_path / "cv-corpus-9.0-2022-04-27"


def build(corpus: LibriSpeechCorpus | MlsCorpus | CommonVoiceCorpus, out: Path) -> dict:
    out.mkdir(parents=True, exist_ok=True)
    corpus.build(out)
    corpus.build_references(out, out)
    return json.loads((out / "corpus.json").read_text("utf-8"))


def text_of(out: Path) -> list[str]:
    return (out / "text.txt").read_text("utf-8").splitlines()


def sentences_of(out: Path, split: str) -> list[str]:
    words = read_words(out / "references" / f"{split}.words.tsv")
    return [" ".join(said) for said in words.values()]


def manifests_hold_no_text(out: Path) -> bool:
    records = [
        json.loads(line)
        for split in SPLITS
        for line in (out / f"{split}.jsonl").read_text("utf-8").splitlines()
    ]
    return all(set(record) == {"id", "audio", "speaker", "duration_s"} for record in records)


@pytest.mark.parametrize("name", ["librispeech", "mls"])
def test_hidden_files_of_a_mac_are_left_out_and_counted(
    name: str, librispeech: Path, mls: Path, tmp_path: Path
) -> None:
    root = {"librispeech": librispeech, "mls": mls / "mls_german"}[name]
    for path in sorted(root.rglob("*")):
        if path.suffix in (".flac", ".txt"):
            path.with_name(f"._{path.name}").write_bytes(b"\x00\x05\x16\x07\xff")
    corpus = {
        "librispeech": LibriSpeechCorpus(root=str(root), text_subsets=["train-clean-360"]),
        "mls": MlsCorpus(root=str(mls), text=str(mls / "text.txt")),
    }[name]
    assert build(corpus, tmp_path / "out")["left_out"]["hidden"] > 3


@pytest.mark.parametrize("name", ["librispeech", "mls"])
def test_folders_of_speakers_may_be_links(
    name: str, librispeech: Path, mls: Path, tmp_path: Path
) -> None:
    speaker = {
        "librispeech": librispeech / "train-clean-100" / "103",
        "mls": mls / "mls_german" / "train" / "audio" / "100",
    }[name]
    corpus = {
        "librispeech": LibriSpeechCorpus(root=str(librispeech), text_subsets=["train-clean-360"]),
        "mls": MlsCorpus(root=str(mls), text=str(mls / "text.txt")),
    }[name]
    before = build(corpus, tmp_path / "before")
    speaker.rename(tmp_path / "elsewhere")
    speaker.symlink_to(tmp_path / "elsewhere")
    assert build(corpus, tmp_path / "out") == before


# LibriSpeech


def test_librispeech_is_read_by_speaker_and_chapter(librispeech: Path, tmp_path: Path) -> None:
    corpus = LibriSpeechCorpus(root=str(librispeech), text_subsets=["train-clean-360"])
    summary = build(corpus, tmp_path / "out")
    train = read_manifest(tmp_path / "out" / "train.jsonl")
    assert [(u.id, u.speaker) for u in train] == [
        ("103-1240-0000", "103"),
        ("103-1240-0001", "103"),
        ("26-495-0000", "26"),
    ]
    assert all(u.duration_s == 0.5 for u in train)
    said = [s for chapter in LIBRISPEECH["train-clean-100"].values() for s in chapter]
    assert sentences_of(tmp_path / "out", "train") == said
    assert sentences_of(tmp_path / "out", "test") == LIBRISPEECH["test-clean"]["61/70968"]
    assert summary["subsets"]["dev"] == ["dev-clean"]
    assert manifests_hold_no_text(tmp_path / "out")


def test_several_subsets_are_one_training_set(librispeech: Path, tmp_path: Path) -> None:
    (tmp_path / "lm.txt").write_text("A SENTENCE\nIT WAS A DREAM\n", "utf-8")
    corpus = LibriSpeechCorpus(
        root=str(librispeech),
        text=str(tmp_path / "lm.txt"),
        train_subset=["train-clean-360", "train-clean-100"],
    )
    summary = build(corpus, tmp_path / "out")
    train = read_manifest(tmp_path / "out" / "train.jsonl")
    assert [u.id for u in train] == [
        *("103-1240-0000", "103-1240-0001", "14-208-0000", "14-208-0001", "14-208-0002"),
        "26-495-0000",
    ]
    assert summary["train"]["num_speakers"] == 3
    assert text_of(tmp_path / "out") == ["A SENTENCE"]
    assert len(sentences_of(tmp_path / "out", "train")) == 6
    twice = librispeech / "train-clean-360/26/495"
    twice.mkdir(parents=True)
    for path in (librispeech / "train-clean-100/26/495").iterdir():
        (twice / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match=r"1 utterances are in two .* \(first: 26-495-0000\)"):
        build(corpus, tmp_path / "again")


def test_a_transcript_of_the_audio_never_stays_in_the_text(
    librispeech: Path, tmp_path: Path
) -> None:
    corpus = LibriSpeechCorpus(root=str(librispeech), text_subsets=["train-clean-360"])
    summary = build(corpus, tmp_path / "out")
    assert text_of(tmp_path / "out") == ["IT WAS A DREAM", "OF SILENCE"]
    assert summary["num_text_lines_said"] == 1
    with gzip.open(tmp_path / "lm.txt.gz", "wt") as stream:
        stream.write("A SENTENCE\n\nGo, do you hear?\nANOTHER ONE\n")
    corpus = LibriSpeechCorpus(root=str(librispeech), text=str(tmp_path / "lm.txt.gz"))
    build(corpus, tmp_path / "gz")
    assert text_of(tmp_path / "gz") == ["A SENTENCE", "ANOTHER ONE"]


@pytest.mark.parametrize("subset", ["train-clean-100", "dev-clean", "test-clean"])
def test_transcripts_of_what_is_heard_are_refused_as_text(subset: str) -> None:
    with pytest.raises(ValueError, match=rf"text_subsets has \['{subset}'\], which are heard"):
        LibriSpeechCorpus(root="x", text_subsets=["train-other-500", subset])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "expected exactly one"),
        ({"text": "a.txt", "text_subsets": ["train-other-500"]}, "expected exactly one"),
        ({"text": "a.txt", "dev_subset": "test-clean"}, "expected each subset once"),
        (
            {"text": "a.txt", "train_subset": ["train-clean-100", "dev-clean"]},
            "expected each subset once",
        ),
    ],
)
def test_impossible_options_of_librispeech_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LibriSpeechCorpus(root="x", **options)


def test_missing_parts_of_librispeech_are_named(librispeech: Path, tmp_path: Path) -> None:
    def refused(match: str, root: Path = librispeech, **options: str) -> None:
        corpus = LibriSpeechCorpus(
            root=str(root),
            text_subsets=["train-clean-360"],
            **options,  # type: ignore[arg-type]
        )
        with pytest.raises(ValueError, match=match):
            build(corpus, tmp_path / "out")

    refused(r"no folder train-clean-100; set corpus\.root to .*LibriSpeech", root=tmp_path)
    refused(
        r"no folder dev-other \(there are: dev-clean, .*dev-other\.tar\.gz", dev_subset="dev-other"
    )
    refused(r"no folder train-clean-100 \(there are: none\)", root=tmp_path / "nowhere")
    chapter = librispeech / "dev-clean/84/121123"
    (chapter / "84-121123-0001.flac").rename(tmp_path / "kept.flac")
    refused(r"dev-clean: 1 of 2 transcripts have no audio \(first: 84-121123-0001\)")
    (tmp_path / "kept.flac").rename(chapter / "84-121123-0001.flac")
    noise(chapter / "84-121123-0002.flac")
    refused(r"1 of 3 audio files have no transcript \(first: .*84-121123-0002\.flac")
    (chapter / "84-121123-0002.flac").unlink()
    (chapter / "84-121123-0001.flac").write_bytes(b"fLaC")
    refused(r"84-121123-0001\.flac: cannot be read as audio.*skip_unreadable=true")
    (chapter / "84-121123.trans.txt").write_text("84-121123-0000\n")
    refused(r"84-121123\.trans\.txt:1: '84-121123-0000'; expected an utterance id")
    (chapter / "84-121123.trans.txt").unlink()
    refused(r"dev-clean: no <speaker>/<chapter>/\*\.trans\.txt")


def test_unreadable_files_can_be_left_out_and_are_counted(
    librispeech: Path, tmp_path: Path
) -> None:
    (librispeech / "train-clean-100/26/495/26-495-0000.flac").write_bytes(b"fLaC")
    corpus = LibriSpeechCorpus(
        root=str(librispeech), text_subsets=["train-clean-360"], skip_unreadable=True
    )
    summary = build(corpus, tmp_path / "out")
    assert summary["num_skipped"] == 1
    assert "26-495-0000.flac" in summary["skipped"][0]["file"]
    references = read_words(tmp_path / "out" / "references" / "train.words.tsv")
    assert list(references) == ["103-1240-0000", "103-1240-0001"]


def test_hours_are_capped_by_a_draw_and_their_transcripts_still_leave_the_text(
    librispeech: Path, tmp_path: Path
) -> None:
    drawn = []
    for seed in range(6):
        corpus = LibriSpeechCorpus(
            root=str(librispeech),
            text_subsets=["train-clean-360"],
            max_train_hours=1.2 / 3600,
            max_dev_hours=0.6 / 3600,
            seed=seed,
        )
        out = tmp_path / str(seed)
        build(corpus, out)
        train = [u.id for u in read_manifest(out / "train.jsonl")]
        assert (len(train), len(sentences_of(out, "train"))) == (2, 2)
        assert train == sorted(train)
        assert len(read_manifest(out / "dev.jsonl")) == 1
        assert len(read_manifest(out / "test.jsonl")) == 2
        assert "chapter one" not in text_of(out)
        drawn.append(tuple(train))
    assert len(set(drawn)) > 1


@pytest.mark.parametrize(
    ("hours", "message"),
    [(0.0, "a cap of 0.0 hours"), (0.1 / 3600, "first recording drawn is longer than the cap")],
)
def test_impossible_caps_are_refused(
    librispeech: Path, tmp_path: Path, hours: float, message: str
) -> None:
    corpus = LibriSpeechCorpus(
        root=str(librispeech), text_subsets=["train-clean-360"], max_train_hours=hours
    )
    with pytest.raises(ValueError, match=message):
        build(corpus, tmp_path / "out")


# MLS


@pytest.mark.parametrize("opus", [False, True])
def test_mls_is_read_as_flac_and_as_opus(tmp_path: Path, opus: bool) -> None:
    write_mls(tmp_path, opus=opus)
    (tmp_path / "text.txt").write_text("ein satz\nUnd es ward Licht!\n", "utf-8")
    corpus = MlsCorpus(root=str(tmp_path), text=str(tmp_path / "text.txt"), language="de")
    summary = build(corpus, tmp_path / "out")
    train = read_manifest(tmp_path / "out" / "train.jsonl")
    assert [(u.id, u.speaker) for u in train] == [
        (f"10{i}_20_00000{i}", f"10{i}") for i in range(3)
    ]
    assert sum(u.duration_s for u in train) == pytest.approx(1.5, abs=0.05)
    for split in SPLITS:
        assert sentences_of(tmp_path / "out", split) == MLS[split]
    assert text_of(tmp_path / "out") == ["ein satz"]
    assert summary["folder"] == ("mls_german_opus" if opus else "mls_german")
    assert manifests_hold_no_text(tmp_path / "out")


def test_a_published_list_limits_the_training_speech(mls: Path, tmp_path: Path) -> None:
    def train(handles: str) -> list[str]:
        corpus = MlsCorpus(root=str(mls), text=str(mls / "text.txt"), train_handles=handles)
        build(corpus, tmp_path / handles)
        assert text_of(tmp_path / handles) == ["ein satz", "noch einer"]
        return [u.id for u in read_manifest(tmp_path / handles / "train.jsonl")]

    assert train("9hr") == ["100_20_000000", "102_20_000002"]
    assert train("1hr/0") == ["100_20_000000"]


def test_missing_parts_of_mls_are_named(mls: Path, tmp_path: Path) -> None:
    def refused(match: str, **options: str) -> None:
        given = {"root": str(mls), "text": str(mls / "text.txt"), **options}
        with pytest.raises(ValueError, match=match):
            build(MlsCorpus(**given), tmp_path / "out")  # type: ignore[arg-type]

    refused("neither mls_french nor mls_french_opus", language="fr-fr")
    refused(r"MLS has no language 'fi'; it has en \(english\), de \(german\)", language="fi")
    refused(
        r"espeak-ng has no language 'fr'; near codes: fr-be \(.*\), fr-ch \(.*\), fr-fr",
        language="fr",
    )
    refused(r"handles is '5hr', there are: 1hr/0, 9hr", train_handles="5hr")
    refused(r"none\.txt: no such file; `text`", text=str(mls / "none.txt"))
    handles = mls / "mls_german/train/limited_supervision/9hr/handles.txt"
    handles.write_text("1_2_3\n")
    refused(r"1 of 1 handles are not in train \(first: 1_2_3\)", train_handles="9hr")
    transcripts = mls / "mls_german/test/transcripts.txt"
    transcripts.write_text("100_20_000000 no tab\n")
    refused(r"test/transcripts\.txt:1: '100_20_000000 no tab'; expected an utterance id")
    transcripts.write_text("1_2_3\tein satz\n")
    refused(r"test: 1 of 1 transcripts have no audio \(first: 1_2_3\)")
    transcripts.unlink()
    refused(r"mls_german/test: no transcripts\.txt or no folder audio")


# Common Voice


def test_common_voice_is_read_with_clients_as_speakers(common_voice: Path, tmp_path: Path) -> None:
    summary = build(CommonVoiceCorpus(root=str(common_voice)), tmp_path / "out")
    train = read_manifest(tmp_path / "out" / "train.jsonl")
    assert [u.speaker for u in train] == ["anna", "anna", "bodo"]
    assert train[0].id == "common_voice_de_0"
    assert train[0].duration_s == pytest.approx(0.5, abs=0.1)
    for split, said in COMMON_VOICE.items():
        assert sentences_of(tmp_path / "out", split) == [sentence for _, sentence in said]
    assert summary["locale"] == "de"
    assert manifests_hold_no_text(tmp_path / "out")


def test_the_text_of_common_voice_is_what_no_split_says(common_voice: Path, tmp_path: Path) -> None:
    build(CommonVoiceCorpus(root=str(common_voice)), tmp_path / "out")
    assert text_of(tmp_path / "out") == ["Der Hund schläft.", "Die Katze auch."]
    (tmp_path / "own.txt").write_text("Eigener Text\nauf wiedersehen\n", "utf-8")
    corpus = CommonVoiceCorpus(root=str(common_voice), text=str(tmp_path / "own.txt"))
    build(corpus, tmp_path / "own")
    assert text_of(tmp_path / "own") == ["Eigener Text"]


def test_missing_parts_of_common_voice_are_named(common_voice: Path, tmp_path: Path) -> None:
    def refused(match: str, **options: str) -> None:
        given = {"root": str(common_voice), **options}
        with pytest.raises(ValueError, match=match):
            build(CommonVoiceCorpus(**given), tmp_path / "out")  # type: ignore[arg-type]

    refused(r"no folder zh-CN for language 'cmn' \(locales there: de\)", language="cmn")
    refused(r"holds releases \(cv-corpus-9\.0-2022-04-27\): name one", root=str(tmp_path))
    refused("no folder xx", locale="xx")
    clip = common_voice / "de/clips/common_voice_de_4.mp3"
    clip.rename(tmp_path / "kept.mp3")
    refused(r"test\.tsv: 1 of 1 clips are not in .*first: common_voice_de_4\.mp3")
    clip.write_bytes(b"\0" * 100)
    refused(r"common_voice_de_4\.mp3: cannot be read as audio")
    (tmp_path / "kept.mp3").rename(clip)
    table = common_voice / "de/dev.tsv"
    write_table(table, [("a", "common_voice_de_3.mp3", "x")] * 2)
    refused(r"dev\.tsv:3: clip 'common_voice_de_3\.mp3' again")
    write_table(table, [("a", "common_voice_de_3.mp3", " ")])
    refused(r"dev\.tsv:2: clip 'common_voice_de_3\.mp3' has no sentence")
    write_table(table, [])
    refused(r"dev\.tsv: a header and no clips")
    table.write_text("client_id\tpath\ttext\n")
    refused(r"dev\.tsv:1: no column 'sentence'")
    table.write_text("client_id\tpath\tsentence\na\tb\n")
    refused(r"dev\.tsv:2: 2 columns; the header has 3")
    table.unlink()
    refused(r"dev\.tsv: no such table")


def test_a_language_whose_every_sentence_is_said_has_no_text(
    common_voice: Path, tmp_path: Path
) -> None:
    rows = [(client, "x.mp3", s) for said in COMMON_VOICE.values() for client, s in said]
    write_table(common_voice / "de/validated.tsv", rows)
    with pytest.raises(ValueError, match=r"no line of the text is left \(5 are.*corpus\.text"):
        build(CommonVoiceCorpus(root=str(common_voice)), tmp_path / "out")


# Languages


@pytest.mark.parametrize(
    ("code", "locale"), [("en-us", "en"), ("pt-br", "pt"), ("cmn", "zh-CN"), ("sv", "sv-SE")]
)
def test_languages_are_named_as_common_voice_names_them(code: str, locale: str) -> None:
    assert common_voice_locale(code) == locale


def test_languages_are_named_as_mls_names_them() -> None:
    assert [mls_name(code) for code in ("de", "fr-fr", "pt-br", "en-gb")] == [
        *("german", "french", "portuguese", "english")
    ]


# The text


@pytest.mark.parametrize("name", ["text.txt", "text.txt.gz"])
def test_a_text_of_any_length_is_sampled_evenly(tmp_path: Path, name: str) -> None:
    content = "".join(f"line {i}\n\n" for i in range(2000)).encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)

    def drawn(seed: int, max_lines: int = 100) -> list[int]:
        lines = at_most(read_text(tmp_path / name), max_lines, seed=seed)
        return [int(line.split()[1]) for line in lines]

    found = [drawn(seed) for seed in range(20)]
    assert all(len(set(numbers)) == 100 for numbers in found)
    assert found[0] == sorted(found[0]) == drawn(0) != found[1]
    everything = [number for numbers in found for number in numbers]
    for quarter in range(4):
        share = sum(quarter * 500 <= number < (quarter + 1) * 500 for number in everything) / 2000
        assert 0.2 < share < 0.3
    assert drawn(0, 5000) == list(range(2000))
    with pytest.raises(ValueError, match="max_text_lines is 0"):
        drawn(0, 0)


def test_damaged_text_is_named(tmp_path: Path) -> None:
    for content in (b"plain", gzip.compress(b"some text\n" * 100)[:30]):
        (tmp_path / "t.gz").write_bytes(content)
        with pytest.raises(ValueError, match=r"t\.gz: not a whole gzip file"):
            list(read_text(tmp_path / "t.gz"))
    (tmp_path / "t.txt").write_bytes(b"gut\nna\xefve")
    with pytest.raises(ValueError, match=r"txt:2: not UTF-8 \(byte 3"):
        list(read_text(tmp_path / "t.txt"))
