"""Languages without espeak-ng: letters as phones, epitran's tables, pinyin, romanised scripts."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from lm.epitran_front_end import EpitranFrontEnd
from lm.grapheme_front_end import GraphemeFrontEnd
from lm.lexicon import Lexicon
from lm.pinyin_front_end import PinyinFrontEnd
from lm.word_front_end import WordFrontEnd

RULES = "# digraphs\nsh\tʃ\ns\tz\nts'\ttsʼ\nx\tk s\nh\t\n"


def prepared(folder: Path, front_end: WordFrontEnd, text: str) -> dict:
    (folder / "text.txt").write_text(text, "utf-8")
    front_end.prepare(folder / "text.txt", folder)
    return json.loads((folder / "counts.json").read_text("utf-8"))


def phones_of(folder: Path) -> list[str]:
    return (folder / "phones.txt").read_text("utf-8").splitlines()


@pytest.fixture
def rules(tmp_path: Path) -> str:
    path = tmp_path / "rules.tsv"
    path.write_text(RULES, "utf-8")
    return str(path)


def test_the_longest_grapheme_is_one_phone_and_a_rule_may_give_several_or_none(rules: str) -> None:
    front_end = GraphemeFrontEnd(rules=rules)
    assert front_end.pronounce("shats'ihax") == ("ʃ", "a", "tsʼ", "i", "a", "k", "s")
    assert front_end.pronounce("sa'id-u") == ("z", "a", "i", "d", "u")  # other marks are silent


@pytest.mark.parametrize("word", ["o\u0323\u0301ba", "\u1ecd\u0301ba"])
def test_a_letter_has_its_accents_with_it_in_every_unicode_form(tmp_path: Path, word: str) -> None:
    prepared(tmp_path, GraphemeFrontEnd(min_phone_count=1), f"{word}\n")
    assert phones_of(tmp_path) == ["\u1ecd\u0301 b a"]


def test_a_word_with_a_digit_drops_its_sentence_and_rare_letters_lose_their_marks(
    tmp_path: Path,
) -> None:
    text = "ba na\n" * 20 + "bá na\nba 7\nna b&a\n"
    counts = prepared(tmp_path, GraphemeFrontEnd(), text)
    assert counts["lines"] == {"kept": 21, "unknown_word": 2}
    assert counts["unknown_words"]["most_frequent"] == {"7": 1, "b&a": 1}
    assert counts["merged_phones"] == {"á": ["a"]}
    assert phones_of(tmp_path)[20] == "b a | n a"
    assert (tmp_path / "written.txt").read_text("utf-8").splitlines()[20] == "bá na"
    assert Lexicon.read(tmp_path / "lexicon.tsv").best("bá") == ("b", "a")


def test_a_script_with_hundreds_of_letters_is_no_alphabet(tmp_path: Path) -> None:
    text = "".join(f"{chr(code)}\n" for code in range(0x4E00, 0x4F00))
    with pytest.raises(ValueError, match=r"256 letters .* at most 150.*text=pinyin"):
        prepared(tmp_path, GraphemeFrontEnd(min_phone_count=1), text)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("sh ʃ\n", r"rules\.tsv:1: 'sh ʃ'; expected a grapheme, a tab"),
        ("s h\tʃ\n", r"rules\.tsv:1: .*; expected a grapheme, a tab"),
        ("a\tb\nA\tc\n", r"rules\.tsv:2: a second line for 'a'"),
        ("# nothing\n", r"rules\.tsv: no rule"),
    ],
)
def test_a_bad_rule_is_named(tmp_path: Path, table: str, message: str) -> None:
    (tmp_path / "rules.tsv").write_text(table, "utf-8")
    with pytest.raises(ValueError, match=message):
        GraphemeFrontEnd(rules=str(tmp_path / "rules.tsv")).pronounce("a")


def test_references_are_spelt_as_the_text_is_and_numbers_in_them_are_errors(rules: str) -> None:
    front_end = GraphemeFrontEnd(rules=rules)
    said = {"a": ["Shi", "NA."] * 5, "b": ["na", "9"]}
    assert front_end.phonemize_references(said)["a"][:4] == ("ʃ", "i", "n", "a")
    assert front_end.phonemize_references(said)["b"] == ("n", "a", "spn")
    with pytest.raises(ValueError, match=r"1 of 2 words .* write numbers as words"):
        front_end.phonemize_references({"b": ["na", "9"]})


def test_uroman_writes_a_script_in_latin_letters() -> None:
    assert GraphemeFrontEnd(romanize="uroman").pronounce("привет") == tuple("privet")
    with pytest.raises(ValueError, match=r"romanize is 'latin'"):
        GraphemeFrontEnd(romanize="latin")


def test_epitran_is_folded_as_espeak_is() -> None:
    front_end = EpitranFrontEnd(code="hau-Latn")
    assert front_end.pronounce("shiga") == ("ʃ", "i", "ɡ", "a")
    assert front_end.pronounce("tsaya") == ("ts", "a", "j", "a")  # no tie bar
    assert front_end.pronounce("shi2ga") is None


def test_an_unknown_table_of_epitran_has_near_ones() -> None:
    with pytest.raises(ValueError, match=r"no table 'hau'; near codes: hau-Latn\. A code is"):
        EpitranFrontEnd(code="hau").pronounce("a")


def test_pinyin_reads_a_character_in_its_phrase_and_words_are_characters(tmp_path: Path) -> None:
    front_end = PinyinFrontEnd(min_phone_count=1)
    counts = prepared(tmp_path, front_end, "银行,行人。\n知女\n他a9\n")
    assert phones_of(tmp_path) == ["in | h ang | x ing | r en", "zh ɨ | n v"]
    assert (tmp_path / "words.txt").read_text("utf-8") == "银 行 行 人\n知 女\n"
    assert counts["lines"] == {"kept": 2, "unknown_word": 1}
    assert front_end.normalize_words(["银行"]) == ("银", "行")


def test_a_package_that_is_missing_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypinyin", None)
    with pytest.raises(ValueError, match=r"text=pinyin needs the package pypinyin.*\[g2p\]"):
        PinyinFrontEnd().pronounce("人")
