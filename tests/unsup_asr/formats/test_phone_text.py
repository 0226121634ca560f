import pytest

from unsup_asr.formats.phone_text import (
    iter_phone_sentences,
    phone_ids,
    read_phone_sentences,
    write_phone_sentences,
)
from unsup_asr.scoring.criterion import weighted_perplexity


def test_sentences_of_words_of_phones_survive_a_file(tmp_path) -> None:
    sentences = [[("k", "æ", "t"), ("s",)], [("ə",)]]
    write_phone_sentences(tmp_path / "phones.txt", sentences)
    assert (tmp_path / "phones.txt").read_text("utf-8") == "k æ t | s\nə\n"
    assert read_phone_sentences(tmp_path / "phones.txt") == sentences


def test_a_sentence_is_read_when_it_is_asked_for(tmp_path) -> None:
    """A text of millions of lines is never in memory at once."""
    (tmp_path / "phones.txt").write_bytes(b"k | s\n" * 100_000 + b"\xff\n")
    sentences = iter_phone_sentences(tmp_path / "phones.txt")
    assert next(sentences) == [("k",), ("s",)]
    with pytest.raises(ValueError, match=r"phones\.txt"):
        list(sentences)


def test_an_empty_file_is_refused(tmp_path) -> None:
    (tmp_path / "phones.txt").write_text("\n\n")
    with pytest.raises(ValueError, match=r"phones\.txt: no phonemized sentence"):
        read_phone_sentences(tmp_path / "phones.txt")


def test_a_phone_outside_the_inventory_is_named_with_what_to_do() -> None:
    assert phone_ids(["b", "a", "b"], ["a", "b"]).tolist() == [1, 0, 1]
    with pytest.raises(ValueError, match=r"'x' is not in the inventory of 2 phones.*fold"):
        phone_ids(["a", "x"], ["a", "b"])


def test_phones_left_unused_raise_the_weighted_perplexity_by_the_square_of_their_share() -> None:
    all_used = [["a", "b"], ["c", "d"]]
    half_used = [["a", "b"], ["a"]]
    assert weighted_perplexity(10.0, all_used, num_phones=4) == 10.0
    assert weighted_perplexity(10.0, half_used, num_phones=4) == 40.0


def test_silence_all_through_is_the_worst_of_all() -> None:
    assert weighted_perplexity(1.0, [[], []], num_phones=4) == float("inf")
