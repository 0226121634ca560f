"""References in the phones of the text: rare ones merged as there, others refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from lm.front_end import EspeakFrontEnd
from unsup_asr.formats.hypotheses import write_transcripts, write_words
from unsup_asr.formats.phone_text import read_inventory, read_merged_phones, read_phone_sentences
from unsup_asr.steps.references import check_known, references_in, unknown_share
from unsup_asr.types import Transcript

TEXT = ["a toy in it", *["a tall hawk saw a fishing ship in it"] * 9]


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_text("\n".join(TEXT) + "\n", "utf-8")
    EspeakFrontEnd(min_phone_count=5).prepare(tmp_path / "text.txt", tmp_path)
    return tmp_path


def test_a_text_that_is_its_own_reference_has_its_own_phones(prepared: Path) -> None:
    """Each rare phone used to cost two errors: merged in the text, whole in the references."""
    write_words(prepared / "test.words.tsv", {f"u{i}": x.split() for i, x in enumerate(TEXT)})
    merged = read_merged_phones(prepared / "inventory.json")
    assert merged["ɔɪ"] == ("ɔ", "ɪ")
    front_end = EspeakFrontEnd(min_phone_count=5)
    references = references_in(prepared / "test.words.tsv", front_end, merged)
    sentences = read_phone_sentences(prepared / "phones.txt")
    assert [r.phones for r in references] == [
        tuple(phone for word in sentence for phone in word) for sentence in sentences
    ]
    check_known(
        references, read_inventory(prepared / "inventory.json"), num_words=9, are_words=True
    )


def test_phones_that_stand_for_one_share_its_time(tmp_path: Path) -> None:
    said = Transcript("u1", ("t", "ɔɪ", "z"), (0.0, 0.1, 0.5), (0.1, 0.5, 0.6))
    write_transcripts(tmp_path / "test.tsv", [said])
    (found,) = references_in(tmp_path / "test.tsv", EspeakFrontEnd(), {"ɔɪ": ("ɔ", "ɪ")})
    assert found.phones == ("t", "ɔ", "ɪ", "z")
    assert found.starts_s == pytest.approx((0.0, 0.1, 0.3, 0.5))
    assert found.ends_s == pytest.approx((0.1, 0.3, 0.5, 0.6))


def test_references_that_are_not_the_phones_of_the_text_are_refused() -> None:
    known = {"k", "æ", "t"}
    few = [Transcript("u1", ("k", "æ", "t") * 10 + ("ʒ",))]
    assert unknown_share(few, known) == pytest.approx(1 / 31)
    check_known(few, known, num_words=100, are_words=False)
    words = [Transcript("u1", ("the", "cat", "sat"))]
    with pytest.raises(
        ValueError, match=r"100 % of the phones .* the cat sat .*reference_kind=words"
    ):
        check_known(words, known, num_words=9, are_words=False)
    with pytest.raises(ValueError, match=r"If they are phones, .*reference_kind=phones"):
        check_known(words, known, num_words=9, are_words=True)


def test_a_text_of_few_words_may_lack_phones_of_its_language() -> None:
    half = [Transcript("u1", ("k", "æ", "t", "ʒ"))]
    check_known(half, {"k", "æ", "t"}, num_words=99, are_words=True)
    with pytest.raises(ValueError, match=r"25 % of the phones .* expected at most 5 %"):
        check_known(half, {"k", "æ", "t"}, num_words=100, are_words=True)
