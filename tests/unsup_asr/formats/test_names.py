from pathlib import Path

import pytest

from unsup_asr.formats.names import files_by_id, id_of, shown, shown_in_lines


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("a b", "a_b"),
        (" a\t b\n", "a_b"),
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("caf\udce9", r"caf\xe9"),
        ("e\u0301", "\u00e9"),
        ("a\u202eb", r"a\u202eb"),
        ("日本 語", "日本_語"),
    ],
)
def test_an_id_can_be_seen_and_is_its_own_id(name: str, key: str) -> None:
    assert id_of(name) == id_of(id_of(name)) == key


def test_what_cannot_be_seen_is_escaped_and_line_ends_where_they_are_not_meant() -> None:
    assert shown("a b\n\x07é") == r"a b\n\x07é"
    assert shown_in_lines("a\nb\x1b") == "a\nb\\x1b"


def test_files_of_one_id_are_refused_and_named_so_that_they_can_be_seen() -> None:
    assert list(files_by_id(map(Path, ("x/a b.wav", "y/b.wav")))) == ["a_b", "b"]
    with pytest.raises(ValueError, match=r"the utterance id 'a_b': x/a\\tb\.wav and a_b\.flac"):
        files_by_id(map(Path, ("x/a\tb.wav", "a_b.flac")))
