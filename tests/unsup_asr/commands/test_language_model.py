"""`unsup-asr lm`: estimate, perplexity, decode on real files."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from lm.arpa import read_arpa
from lm.ngram import NgramEstimator
from lm.score import load
from unsup_asr import cli
from unsup_asr.formats.hypotheses import write_transcripts
from unsup_asr.formats.ragged import RaggedWriter
from unsup_asr.types import Transcript

SENTENCES = ["a b c", "a b b c", "c a b", "a b c", "b c a"] * 4
Printed = pytest.CaptureFixture[str]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("\n".join(SENTENCES) + "\n", "utf-8")
    return path


@pytest.fixture
def arpa(tmp_path: Path, text: Path) -> Path:
    path = tmp_path / "abc.arpa"
    assert cli.main(["lm", "estimate", str(text), "--out", str(path), "--order", "3"]) == 0
    return path


@pytest.fixture
def phones(tmp_path: Path) -> Path:
    path = tmp_path / "phones.txt"
    path.write_text("a b c", "utf-8")
    return path


def log_posteriors(said: str, *, doubt: float = 0.1) -> np.ndarray:
    rows = np.full((len(said), 3), doubt / 2, dtype=np.float32)
    rows[np.arange(len(said)), ["abc".index(phone) for phone in said]] = 1 - doubt
    return np.log(rows)


def test_estimate_writes_what_the_estimator_does(tmp_path: Path, arpa: Path) -> None:
    expected = tmp_path / "expected.arpa"
    NgramEstimator(order=3).estimate_to(expected, [line.split() for line in SENTENCES])
    assert arpa.read_bytes() == expected.read_bytes()
    assert not list(tmp_path.glob("*.partial"))


def test_perplexity_counts_sentence_ends_or_not(text: Path, arpa: Path, capsys: Printed) -> None:
    capsys.readouterr()
    assert cli.main(["lm", "perplexity", str(arpa), str(text), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    score = load(arpa).score_corpus([line.split() for line in SENTENCES])
    assert found["perplexity_with_sentence_ends"] == pytest.approx(score.perplexity_with_eos)
    assert found["perplexity_without_sentence_ends"] == pytest.approx(score.perplexity_without_eos)
    assert (found["sentences"], found["tokens"], found["unknown"]) == (20, 64, 0)
    assert cli.main(["lm", "perplexity", str(arpa), str(text)]) == 0
    assert "perplexity with sentence ends" in capsys.readouterr().out


def decoded(capsys: Printed, *options: str) -> list[list[str]]:
    capsys.readouterr()
    assert cli.main(["lm", "decode", *options]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header == "utterance_id\trank\tscore\tphones\tstart_frames"
    return [row.split("\t") for row in rows]


def test_decode_reads_npy_files_and_ragged_arrays_alike(
    tmp_path: Path, arpa: Path, phones: Path, capsys: Printed
) -> None:
    utterances = {"u1": log_posteriors("aabbc"), "u2": log_posteriors("cca")}
    files, ragged = tmp_path / "files", tmp_path / "ragged"
    files.mkdir()
    with RaggedWriter(ragged) as writer:
        for name, scores in utterances.items():
            np.save(files / f"{name}.npy", scores)
            (files / f"._{name}.npy").write_bytes(b"as macOS leaves beside each file")
            writer.append(name, scores)
    options = ["--phones", str(phones), "--lm-weight", "0.1"]
    rows = decoded(capsys, str(arpa), str(files), *options)
    assert [(row[0], row[1], row[3], row[4]) for row in rows] == [
        ("u1", "1", "a b c", "0 2 4"),
        ("u2", "1", "c a", "0 2"),
    ]
    assert decoded(capsys, str(arpa), str(ragged), *options) == rows


def test_nbest_and_blank(tmp_path: Path, arpa: Path, capsys: Printed) -> None:
    folder = tmp_path / "posteriors"
    folder.mkdir()
    inventory = tmp_path / "inventory.json"
    inventory.write_text(json.dumps({"phones": ["-", "b", "c"]}), "utf-8")
    np.save(folder / "u.npy", log_posteriors("abab"))  # column a is the blank here
    options = ["--phones", str(inventory), "--blank", "-", "--nbest", "3", "--lm-weight", "0"]
    rows = decoded(capsys, str(arpa), str(folder), *options)
    assert [row[1] for row in rows] == ["1", "2", "3"]
    assert rows[0][3] == "b b"
    assert float(rows[0][2]) > float(rows[1][2])


def test_decode_with_a_lexicon_writes_words(tmp_path: Path, phones: Path, capsys: Printed) -> None:
    (tmp_path / "words.txt").write_text("ab ca\nca ab\nab\n" * 3, "utf-8")
    model, lexicon = tmp_path / "words.arpa", tmp_path / "lexicon.tsv"
    assert cli.main(["lm", "estimate", str(tmp_path / "words.txt"), "--out", str(model)]) == 0
    lexicon.write_text("ab\ta b\nca\tc a\n", "utf-8")
    folder = tmp_path / "posteriors"
    folder.mkdir()
    np.save(folder / "u.npy", log_posteriors("aabbcca"))
    command = ["lm", "decode", str(model), str(folder), "--phones", str(phones)]
    capsys.readouterr()
    assert cli.main([*command, "--lexicon", str(lexicon), "--nbest", "2"]) == 0
    header, best, second = capsys.readouterr().out.splitlines()
    assert header == "utterance_id\trank\tscore\twords\tstart_frames\tphones"
    assert best.split("\t")[3:] == ["ab ca", "0 4", "a b c a"]
    assert second.split("\t")[1] == "2"
    assert second.split("\t")[3] != "ab ca"
    lexicon.write_text("ab\n", "utf-8")
    assert cli.main([*command, "--lexicon", str(lexicon)]) == 1
    assert "expected word, tab, phones" in capsys.readouterr().err
    assert cli.main([*command, "--lexicon", str(tmp_path / "no.tsv")]) == 1
    assert "no.tsv: no such lexicon" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros((4, 2), dtype=np.float32), r"shape \(4, 2\); expected \(frames, 3\)"),
        (np.full((4, 3), 0.3, dtype=np.float32), "holds 0.3; expected natural logarithms"),
    ],
)
def test_posteriors_that_cannot_be_are_refused(
    tmp_path: Path, arpa: Path, phones: Path, capsys: Printed, content: np.ndarray, message: str
) -> None:
    np.save(tmp_path / "u.npy", content)
    arguments = ["lm", "decode", str(arpa), str(tmp_path), "--phones", str(phones)]
    assert cli.main(arguments) == 1

    assert re.search(message, capsys.readouterr().err)


def test_missing_and_damaged_files_are_named(
    tmp_path: Path, arpa: Path, phones: Path, text: Path, capsys: Printed
) -> None:
    empty, binary, twice = tmp_path / "empty", tmp_path / "binary.txt", tmp_path / "twice.txt"
    empty.mkdir()
    binary.write_bytes(b"a b\n\xff\xfe\n")
    twice.write_text("a b a", "utf-8")
    no_phones, no_array = tmp_path / "inventory.json", tmp_path / "arrays"
    no_phones.write_text("{}", "utf-8")
    no_array.mkdir()
    (no_array / "u.npy").write_text("junk", "utf-8")
    wrong = {
        ("estimate", str(tmp_path / "no.txt"), "--out", str(tmp_path / "x.arpa")): "no such file",
        ("estimate", str(binary), "--out", str(tmp_path / "x.arpa")): "binary.txt:2: not UTF-8",
        ("estimate", str(text), "--out", str(tmp_path / "x.arpa"), "--order", "9"): "order is 9",
        ("perplexity", str(tmp_path / "no.arpa"), str(text)): "no such language model",
        ("decode", str(arpa), str(empty), "--phones", str(phones)): "no posteriors",
        ("decode", str(arpa), str(empty), "--phones", str(twice)): "phone 'a' twice",
        ("decode", str(arpa), str(empty), "--phones", str(empty / "p")): "no such file",
        ("decode", str(arpa), str(empty), "--phones", str(no_phones)): "json: not an inventory",
        ("decode", str(arpa), str(no_array), "--phones", str(phones)): "u.npy: not an array",
    }
    for arguments, message in wrong.items():
        assert cli.main(["lm", *arguments]) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "x.arpa").exists()
    nowhere = ["lm", "estimate", str(text), "--out", str(tmp_path / "no" / "x.arpa")]
    assert cli.main(nowhere) == 2
    assert cli.main(["lm", "estimate", str(text), "--out", str(empty)]) == 2


def test_tuning_shows_its_choice_and_the_oracles(
    tmp_path: Path, arpa: Path, phones: Path, capsys: Printed
) -> None:
    folder = tmp_path / "posteriors"
    folder.mkdir()
    np.save(folder / "u1.npy", log_posteriors("abc", doubt=0.6))
    np.save(folder / "u2.npy", log_posteriors("cab", doubt=0.6))
    write_transcripts(
        tmp_path / "ref.tsv", [Transcript("u1", ("a", "b", "c")), Transcript("u2", ("b", "c", "a"))]
    )
    command = ["lm", "tune", str(arpa), str(folder), "--phones", str(phones)]
    grid = ["--lm-weights", "0.1", "2", "--insertion-scores", "0", "1"]
    capsys.readouterr()
    assert cli.main([*command, *grid]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 4 + 1
    assert lines[2].startswith("*")
    assert "PER" not in lines[0]
    assert cli.main([*command, *grid, "--ref", str(tmp_path / "ref.tsv")]) == 0
    with_oracle = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in with_oracle[2:]] == [
        line.split()[:3] for line in lines[2:]
    ]
    assert any("(oracle)" in line for line in with_oracle)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(
    ("verb", "option"),
    [
        *(
            ("decode", "--lm-weight"),
            ("decode", "--insertion-score"),
            ("decode", "--silence-score"),
        ),
        *(("tune", "--lm-weights"), ("tune", "--insertion-scores"), ("tune", "--min-distance")),
        *(("tune", "--text-perplexity"), ("tune", "--silence-score")),
    ],
)
def test_numbers_that_are_none_are_refused_by_name(
    verb: str, option: str, value: str, tmp_path: Path, arpa: Path, phones: Path, capsys: Printed
) -> None:
    np.save(tmp_path / "u1.npy", log_posteriors("abc"))
    files = [str(arpa), str(tmp_path), "--phones", str(phones)]
    capsys.readouterr()
    assert cli.main(["lm", verb, *files, f"{option}={value}"]) == 1
    found = capsys.readouterr()
    assert f"the command line: {option[2:].replace('-', '_')} is " in found.err
    assert found.out == ""


def test_what_does_not_fit_into_memory_is_one_line(
    tmp_path: Path, arpa: Path, phones: Path, capsys: Printed
) -> None:
    np.save(tmp_path / "u1.npy", log_posteriors("abc"))
    files = [str(arpa), str(tmp_path), "--phones", str(phones)]
    assert cli.main(["lm", "decode", *files, "--beam", str(10**15)]) == 1
    assert "unsup-asr lm: not enough memory: " in capsys.readouterr().err


def test_the_text_is_not_overwritten_by_its_model(tmp_path: Path, capsys: Printed) -> None:
    text = tmp_path / "t.txt"
    text.write_text("a b\n", "utf-8")
    (tmp_path / "other").hardlink_to(text)
    for out in (text, tmp_path / "." / "t.txt", tmp_path / "other"):
        assert cli.main(["lm", "estimate", str(text), "--out", str(out)]) == 2
        assert "is the text itself" in capsys.readouterr().err
    assert text.read_text("utf-8") == "a b\n"


def test_a_model_of_order_1_has_a_perplexity(tmp_path: Path, capsys: Printed) -> None:
    text, arpa = tmp_path / "t.txt", tmp_path / "one.arpa"
    text.write_text("a b a\nb z\n", "utf-8")
    assert cli.main(["lm", "estimate", str(text), "--out", str(arpa), "--order", "1"]) == 0
    capsys.readouterr()
    text.write_text("a q\n", "utf-8")
    assert cli.main(["lm", "perplexity", str(arpa), str(text), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    table = read_arpa(arpa).table(1)
    total = sum(table[(word,)][0] for word in ("a", "<unk>", "</s>"))
    assert found["log10_probability"] == pytest.approx(total)
    assert (found["tokens"], found["unknown"]) == (2, 1)
