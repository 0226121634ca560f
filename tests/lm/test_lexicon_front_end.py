"""Phones by a pronouncing dictionary: its formats, what it lacks, references in its phones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lm.lexicon import Lexicon
from lm.lexicon_front_end import LexiconFrontEnd
from lm.pronouncing_dictionary import read_dictionary

CMU = """\
;;; a comment
!EXCLAMATION-POINT  EH2 K S K L AH0 M EY1 SH AH0 N
'BOUT  B AW1 T
A  AH0
A(1)  EY1
BOUT  B AO1 T
CAT  K AE1 T # an animal
SAT\tS AE1 T
SEE  S IY1
THE  DH AH0
THE(2)  DH IY0
"""
SAID = {
    "a": (("AH",), ("EY",)),
    "bout": (("B", "AO", "T"),),
    "cat": (("K", "AE", "T"),),
    "sat": (("S", "AE", "T"),),
    "see": (("S", "IY"),),
    "the": (("DH", "AH"), ("DH", "IY")),
}


def write(path: Path, text: str) -> str:
    path.write_text(text, "utf-8")
    return str(path)


@pytest.fixture
def dictionary(tmp_path: Path) -> str:
    return write(tmp_path / "cmudict.txt", CMU)


def prepared(folder: Path, front_end: LexiconFrontEnd, text: str) -> dict:
    front_end.prepare(Path(write(folder / "text.txt", text)), folder)
    return json.loads((folder / "counts.json").read_text("utf-8"))


def test_cmu_entries_lose_stress_numbers_and_comments(dictionary: str) -> None:
    assert read_dictionary(Path(dictionary), language="en-us") == SAID
    with_stress = read_dictionary(Path(dictionary), language="en-us", drop_stress=False)
    assert with_stress["the"] == (("DH", "AH0"), ("DH", "IY0"))


@pytest.mark.parametrize(
    "text",
    [
        "<SIL> SIL\nCAT 0.8 K AE1 T\nCAT 1.0 K AH0 T\n",  # Kaldi's lexiconp.txt
        "cat\t0.99\t0.17\t1.0\t1.0\tK AE1 T\ncat\t0.01\t0.17\t1.0\t1.0\tK AH0 T\n",  # MFA's
        "cat K AE T\n\ncat K AH T\ncat K AE T\n",  # Kaldi's lexicon.txt, with an entry twice
    ],
)
def test_probabilities_and_repeated_words_are_read(tmp_path: Path, text: str) -> None:
    path = Path(write(tmp_path / "lexicon.txt", text))
    assert read_dictionary(path, language="en-us") == {"cat": (("K", "AE", "T"), ("K", "AH", "T"))}


def test_tones_are_no_stress(tmp_path: Path) -> None:
    path = Path(write(tmp_path / "tones.txt", "hao3 h au3\nma\tm a1\n"))
    assert read_dictionary(path, language="cmn-latn-pinyin")["hao3"] == (("h", "au3"),)
    assert read_dictionary(path, language="cmn-latn-pinyin")["ma"] == (("m", "a1"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("CAT  K AE1 T\nDOG\n", r"lexicon\.txt:2: 'DOG' has no phones"),
        ("CAT 0.5\n", r"lexicon\.txt:1: 'CAT 0\.5' has no phones"),
        ("new york\tN UW Y\n", r"lexicon\.txt:1: 'new york' before the tab is more than one word"),
        (";;; nothing\n", r"lexicon\.txt: no word"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = Path(write(tmp_path / "lexicon.txt", text))
    with pytest.raises(ValueError, match=message):
        read_dictionary(path, language="en-us")


def test_sentences_with_unknown_words_are_dropped_and_counted(
    tmp_path: Path, dictionary: str
) -> None:
    front_end = LexiconFrontEnd(dictionary=dictionary)
    text = "SEE THE CAT\nthe dog sat\n\nA cat-bout, the dog\nA cat-bout.\n"
    counts = prepared(tmp_path, front_end, text)
    assert (tmp_path / "phones.txt").read_text("utf-8").splitlines() == [
        "S IY | DH AH | K AE T",
        "AH | K AE T B AO T",
    ]
    assert (tmp_path / "words.txt").read_text("utf-8") == "see the cat\na cat-bout\n"
    assert counts["lines"] == {"kept": 2, "unknown_word": 2, "empty": 1}
    assert counts["unknown_words"] == {"running": 2, "distinct": 1, "most_frequent": {"dog": 2}}
    lexicon = Lexicon.read(tmp_path / "lexicon.tsv")
    assert lexicon.entries["the"] == {("DH", "AH"): 1, ("DH", "IY"): 1}
    assert lexicon.best("cat-bout") == ("K", "AE", "T", "B", "AO", "T")


def test_a_text_without_a_known_sentence_names_what_is_missing(
    tmp_path: Path, dictionary: str
) -> None:
    with pytest.raises(
        ValueError, match=r"2 unknown_word\); words that cannot be said: dog barks: they are not"
    ):
        prepared(tmp_path, LexiconFrontEnd(dictionary=dictionary), "the dog\ndog barks\n")


def test_references_are_said_as_the_text_is_and_unknown_words_are_errors(
    dictionary: str, caplog: pytest.LogCaptureFixture
) -> None:
    front_end = LexiconFrontEnd(dictionary=dictionary, fold={"AE": "AH"})
    words = {"a": ["THE", "CAT"] * 5, "b": ["THE", "DOG"]}
    said = front_end.phonemize_references(words)
    assert said["a"][:5] == ("DH", "AH", "K", "AH", "T")
    assert said["b"] == ("DH", "AH", "spn")
    assert "1 of 12 words of the references cannot be said" in caplog.text
    with pytest.raises(
        ValueError, match=r"1 of 2 words .* \(most often: dog\): .* Expected at most 10"
    ):
        front_end.phonemize_references({"b": ["THE", "DOG"]})


def test_a_second_dictionary_has_what_the_first_lacks(tmp_path: Path, dictionary: str) -> None:
    more = write(tmp_path / "more.txt", "DOG  D AO1 G\nCAT  M IY1 AW0\n")
    front_end = LexiconFrontEnd(dictionary=[dictionary, more])
    assert front_end.phonemize_references({"x": ["DOG", "CAT"]}) == {
        "x": ("D", "AO", "G", "K", "AE", "T")
    }
