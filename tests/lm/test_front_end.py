import json
import tracemalloc

import pytest

from lm.front_end import EspeakFrontEnd
from lm.lexicon import Lexicon
from lm.phonemize import EspeakPhonemizer
from lm.phonemized import PhonemizeTally
from lm.written_lines import written_line
from unsup_asr.formats.phone_text import read_merged_phones, read_phone_sentences

TEXT = ["The cat sat on the mat.", "A cat and a dog sat.", "The dog is on the mat."] * 10


@pytest.fixture
def prepared(tmp_path):
    (tmp_path / "text.txt").write_text("\n".join(TEXT) + "\n", "utf-8")
    front_end = EspeakFrontEnd(fold={"ɐ": "ə"}, min_phone_count=5)
    front_end.prepare(tmp_path / "text.txt", tmp_path)
    return tmp_path


def test_words_and_phones_are_written_line_by_line_and_word_by_word(prepared) -> None:
    words = [line.split() for line in (prepared / "words.txt").read_text("utf-8").splitlines()]
    phones = read_phone_sentences(prepared / "phones.txt")
    assert words[0] == ["the", "cat", "sat", "on", "the", "mat"]
    assert [len(line) for line in words] == [len(line) for line in phones]
    assert phones[0][1] == ("k", "æ", "t")


def test_all_that_is_written_keeps_to_the_inventory(prepared) -> None:
    inventory = set(json.loads((prepared / "inventory.json").read_text("utf-8"))["phones"])
    said = {p for line in read_phone_sentences(prepared / "phones.txt") for w in line for p in w}
    lexicon = Lexicon.read(prepared / "lexicon.tsv")
    assert said <= inventory
    assert "ɐ" not in inventory
    assert {p for spoken in lexicon.entries.values() for ph in spoken for p in ph} <= inventory


def test_a_rare_phone_takes_its_sentences_words_along(tmp_path) -> None:
    lines = [*TEXT, "A thing."]  # its last phones are said once
    (tmp_path / "text.txt").write_text("\n".join(lines) + "\n", "utf-8")
    EspeakFrontEnd(min_phone_count=5, rare="drop").prepare(tmp_path / "text.txt", tmp_path)
    words = (tmp_path / "words.txt").read_text("utf-8").splitlines()
    counts = json.loads((tmp_path / "counts.json").read_text("utf-8"))
    assert len(words) == counts["sentences_kept"] == len(TEXT)
    assert "θ" in counts["dropped_phones"]


def test_a_text_passes_line_by_line(tmp_path, monkeypatch) -> None:
    """Memory does not grow with the text, and a line is phonemized before the last is read."""
    monkeypatch.setattr("lm.phonemize._BATCH_LINES", 50)
    tally = PhonemizeTally()
    read: list[int] = []
    lines = (read.append(i) or f"the cat number {i % 7}" for i in range(500))
    written = (written_line(line, "en-us") for line in lines)
    stream = EspeakPhonemizer().stream(written, tally)
    assert next(stream).words[:2] == ["the", "cat"]
    assert len(read) == 50
    peaks = []
    for repeats in (20, 100):
        (tmp_path / "text.txt").write_text("\n".join(TEXT * repeats) + "\n", "utf-8")
        EspeakFrontEnd().prepare(tmp_path / "text.txt", tmp_path)  # caches
        tracemalloc.start()
        EspeakFrontEnd().prepare(tmp_path / "text.txt", tmp_path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
    assert len((tmp_path / "words.txt").read_text("utf-8").splitlines()) == 100 * len(TEXT)


def test_lines_that_the_options_drop_are_counted(tmp_path) -> None:
    lines = [*TEXT, "Die Katze sitzt auf der Matte", "cat 12", "cat"]
    (tmp_path / "text.txt").write_text("\n".join(lines) + "\n", "utf-8")
    EspeakFrontEnd(
        min_phone_count=1, min_words=2, digits="drop", drop_duplicates=True, other_languages=["de"]
    ).prepare(tmp_path / "text.txt", tmp_path)
    assert (tmp_path / "words.txt").read_text("utf-8").splitlines() == [
        "the cat sat on the mat",
        "a cat and a dog sat",
        "the dog is on the mat",
    ]
    found = json.loads((tmp_path / "counts.json").read_text("utf-8"))["lines"]
    assert (found["other_language"], found["digits"], found["too_short"]) == (1, 1, 1)
    assert (found["duplicate"], found["kept"]) == (27, 3)


def test_a_text_that_is_not_utf_8_is_named_with_its_line(tmp_path) -> None:
    (tmp_path / "text.txt").write_bytes(b"the cat\nthe d\xf8g\n")
    with pytest.raises(ValueError, match=r"text\.txt:2: not UTF-8"):
        EspeakFrontEnd().prepare(tmp_path / "text.txt", tmp_path)


def test_reduced_vowels_of_english_are_folded_unless_a_recipe_says_otherwise() -> None:
    assert EspeakFrontEnd().fold_phones(["ᵻ", "ɐ", "t"]) == ("ɪ", "ə", "t")
    assert EspeakFrontEnd(fold={}).fold_phones(["ᵻ", "ɐ"]) == ("ᵻ", "ɐ")
    assert EspeakFrontEnd(language="de").fold_phones(["ɐ"]) == ("ɐ",)


def test_words_of_references_are_written_as_the_text_is() -> None:
    assert EspeakFrontEnd().normalize_words(["A", "Cat,", "don’t"]) == ("a", "cat", "don't")


def test_references_are_folded_as_the_text_is() -> None:
    front_end = EspeakFrontEnd(fold={"ɐ": "ə"})
    found = front_end.phonemize_references({"u1": ["A", "cat"], "u2": ["a", "dog"]})
    assert list(found) == ["u1", "u2"]
    assert found["u1"] == ("ə", "k", "æ", "t")


def test_references_of_another_language_are_refused() -> None:
    with pytest.raises(ValueError, match=r"100 % of the letters of the references are CYRILLIC"):
        EspeakFrontEnd().phonemize_references({"u1": ["привет", "мир"]})
    with pytest.raises(ValueError, match=r"references: espeak-ng says 1 of 1 lines"):
        EspeakFrontEnd(language="ja").phonemize_references({"u1": ["今日", "東京", "行"]})


def test_a_text_that_espeak_spells_out_is_refused_with_a_remedy(tmp_path) -> None:
    lines = ["今日 東京 に 行った", "毎日 新聞 を 読む", "ねこ が いる"]
    (tmp_path / "text.txt").write_text("\n".join(lines) + "\n", "utf-8")
    with pytest.raises(ValueError, match=r"text\.txt: espeak-ng says 2 of 3 lines .* in kana"):
        EspeakFrontEnd(language="ja", min_phone_count=1).prepare(tmp_path / "text.txt", tmp_path)


def test_a_text_of_which_no_sentence_is_left_is_an_error(tmp_path) -> None:
    lines = [*["a b"] * 3, "the cat sat on a mat with me", "thin books"]
    (tmp_path / "text.txt").write_text("\n".join(lines[3:]) + "\n", "utf-8")
    with pytest.raises(ValueError, match=r"each of 2 sentences has a phone that is too rare"):
        EspeakFrontEnd(min_phone_count=3, rare="drop").prepare(tmp_path / "text.txt", tmp_path)
    assert not (tmp_path / "inventory.json").exists()


def test_what_stands_for_rare_phones_is_written(tmp_path) -> None:
    lines = [*["not a toy in it"], *["a tall hawk saw a fishing ship in it"] * 9]
    (tmp_path / "text.txt").write_text("\n".join(lines) + "\n", "utf-8")
    EspeakFrontEnd(min_phone_count=5).prepare(tmp_path / "text.txt", tmp_path)
    assert read_merged_phones(tmp_path / "inventory.json")["ɔɪ"] == ("ɔ", "ɪ")


def test_lines_are_written_for_a_synthesizer_as_they_were(tmp_path) -> None:
    long = "The cat sat on the mat, " * 60
    (tmp_path / "text.txt").write_text("\n".join([*TEXT, "It is $5.", long]) + "\n", "utf-8")
    EspeakFrontEnd(min_phone_count=1, max_words=1000).prepare(tmp_path / "text.txt", tmp_path)
    written = (tmp_path / "written.txt").read_text("utf-8").split("\n")
    assert written[0] == "The cat sat on the mat."
    assert written[-3:] == ["It is $5.", "", ""]  # the long one cannot be said at once
    assert (tmp_path / "words.txt").read_text("utf-8").splitlines()[-2] == "it is $5"
