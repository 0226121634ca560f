from collections import Counter

import pytest

from lm.lexicon import Lexicon

COUNTS = {
    "the": Counter({("ð", "ə"): 80, ("ð", "ɪ"): 19, ("ð",): 1}),
    "cat": Counter({("k", "æ", "t"): 3}),
}


def test_pronunciations_come_most_frequent_first_without_the_rarest():
    lexicon = Lexicon.from_counts(COUNTS, min_share=0.02)
    assert lexicon.entries["the"] == {("ð", "ə"): 80, ("ð", "ɪ"): 19}
    assert lexicon.best("the") == ("ð", "ə")


def test_a_lexicon_survives_its_file(tmp_path):
    lexicon = Lexicon.from_counts(COUNTS)
    lexicon.write(tmp_path / "lexicon.tsv")
    assert Lexicon.read(tmp_path / "lexicon.tsv") == lexicon


def test_words_outside_are_counted():
    lexicon = Lexicon.from_counts(COUNTS)
    assert lexicon.unknown_words(["the", "dog", "emu", "dog"]) == {"dog": 2, "emu": 1}
    assert "cat" in lexicon
    assert len(lexicon) == 2


def test_a_file_without_counts_is_read(tmp_path):
    (tmp_path / "l.tsv").write_text("cat\tk æ t\nread\tɹ i d\nread\tɹ ɛ d\n", "utf-8")
    assert list(Lexicon.read(tmp_path / "l.tsv").entries["read"]) == [
        ("ɹ", "i", "d"),
        ("ɹ", "ɛ", "d"),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("cat", r"l\.tsv:1: 'cat'; expected word"),
        ("cat\t", r"l\.tsv:1: 'cat\\t'; expected word"),
        ("cat\tk æ t\tmany", r"l\.tsv:1: count 'many'"),
        ("cat\tk\t1\ncat\tk\t2", r"l\.tsv:2: 'cat' has this pronunciation twice"),
        ("", r"l\.tsv: no words"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    (tmp_path / "l.tsv").write_text(line + "\n", "utf-8")
    with pytest.raises(ValueError, match=message):
        Lexicon.read(tmp_path / "l.tsv")
