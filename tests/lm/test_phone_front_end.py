import json
from pathlib import Path

import pytest

from lm.lexicon import Lexicon
from lm.phone_front_end import PhoneFrontEnd
from unsup_asr.formats.phone_text import read_phone_sentences

TEXT = """\
<sil> she had <sil>\tsil | sh iy | hh ae d | sil

had she\thh ih d | sh iy
she\tsh iy
"""


def prepare(folder: Path, text: str = TEXT, **options: object) -> Path:
    (folder / "text.txt").write_text(text, "utf-8")
    PhoneFrontEnd(**options).prepare(folder / "text.txt", folder)  # type: ignore[arg-type]
    return folder


def test_phones_and_words_are_those_of_the_text(tmp_path: Path) -> None:
    prepare(tmp_path)
    assert read_phone_sentences(tmp_path / "phones.txt")[0] == [
        ("sil",),
        ("sh", "iy"),
        ("hh", "ae", "d"),
        ("sil",),
    ]
    words = (tmp_path / "words.txt").read_text("utf-8").splitlines()
    assert words == ["<sil> she had <sil>", "had she", "she"]
    inventory = json.loads((tmp_path / "inventory.json").read_text("utf-8"))["phones"]
    assert sorted(inventory) == ["ae", "d", "hh", "ih", "iy", "sh", "sil"]
    lexicon = Lexicon.read(tmp_path / "lexicon.tsv")
    assert lexicon.entries["had"] == {("hh", "ae", "d"): 1, ("hh", "ih", "d"): 1}
    assert lexicon.entries["she"] == {("sh", "iy"): 3}


def test_phones_alone_name_their_words(tmp_path: Path) -> None:
    prepare(tmp_path, "sh iy | hh ae d\n")
    assert (tmp_path / "words.txt").read_text("utf-8") == "sh_iy hh_ae_d\n"


def test_a_text_without_word_edges_is_taken_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prepare(tmp_path, "sh iy hh ae d\n")
    assert "no line has a word edge" in caplog.text
    assert len(read_phone_sentences(tmp_path / "phones.txt")[0]) == 1


def test_the_fold_is_applied_to_text_and_references_alike(tmp_path: Path) -> None:
    prepare(tmp_path, fold={"ih": "ae"})
    assert "ih" not in (tmp_path / "phones.txt").read_text("utf-8")
    assert PhoneFrontEnd(fold={"ih": "ae"}).fold_phones(["ih", "d"]) == ("ae", "d")


def test_rare_phones_take_their_sentence_along_where_asked(tmp_path: Path) -> None:
    prepare(tmp_path, min_phone_count=2, rare="drop")
    assert (tmp_path / "words.txt").read_text("utf-8") == "she\n"
    counts = json.loads((tmp_path / "counts.json").read_text("utf-8"))
    assert (counts["sentences"], counts["sentences_kept"]) == (3, 1)
    assert set(counts["dropped_phones"]) == {"ae", "ih"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n \n", r"text\.txt: no sentence of phones"),
        ("she had\tsh iy\n", r"text\.txt:1: 2 words before the tab and 1 groups"),
        ("she had\tsh iy |\n", r"text\.txt:1: .* has a word without phones"),
        ("she\t\n", r"text\.txt:1: .* has a word without phones"),
    ],
)
def test_malformed_text_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prepare(tmp_path, text)


def test_text_whose_every_sentence_is_dropped_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="every sentence has a phone that was dropped"):
        prepare(tmp_path, "a a b\na a c\n", min_phone_count=2, rare="drop")


def test_references_as_words_are_refused() -> None:
    with pytest.raises(ValueError, match=r"1 references are words.*reference_kind=phones"):
        PhoneFrontEnd().phonemize_references({"u": ("she",)})


def test_words_stay_as_they_are() -> None:
    assert PhoneFrontEnd().normalize_words(["Don't", "<sil>"]) == ("Don't", "<sil>")
