"""What is said of a line and what is stored: nothing that decides how it is read gets lost."""

from __future__ import annotations

import pytest

from lm.written_lines import written_line


@pytest.mark.parametrize(
    ("language", "line", "said", "stored"),
    [
        (
            "en-us",
            "Hello, World—don’t 'quote' me: it's well-known!",
            "Hello, World—don’t 'quote' me: it's well-known!",
            "hello world don't quote me it's well-known",
        ),
        (
            "en-us",
            "$20, 25% of 1,500 (or 3.14); R&B at 10:30, 5°C, -5 or .5 and/or #1",
            "$20, 25% of 1,500 (or 3.14); R&B at 10:30, 5°C, -5 or .5 and/or #1",
            "$20 25% of 1,500 or 3.14 r&b at 10:30 5°c -5 or .5 and/or #1",
        ),
        ("en-us", "a,b - c… d/e…f", "a,b - c… d/e…f", "a b c d/e f"),
        ("en-us", "HE HOPED THERE WOULD BE", "he hoped there would be", "he hoped there would be"),
        ("en-us", "the USA", "the USA", "the usa"),
        ("ko", "XIV 은 USA", "XIV 은 USA", "xiv 은 usa"),
        ("fr-fr", "A-t-il été là ?", "A-t-il été là ?", "a-t-il été là"),
        ("fr-fr", "E\u0301te\u0301", "Été", "été"),
        ("tr", "ISI İZMİR", "ısı izmir", "ısı izmir"),
        ("tr", "ISI İzmir", "ISI İzmir", "ısı izmir"),
        ("ca", "«Col·legi»", "«Col·legi»", "col·legi"),
        ("de", "Straße, ÄPFEL!", "Straße, ÄPFEL!", "straße äpfel"),
        ("es", "¿Qué tal, Ñandú?", "¿Qué tal, Ñandú?", "qué tal ñandú"),
        ("cmn", "你好，世界。", "你好，世界。", "你好 世界"),
        ("ar", "مرحـــبا، بالعالم!", "مرحبا، بالعالم!", "مرحبا بالعالم"),
        ("he", "שָׁלוֹם עולם.", "שָׁלוֹם עולם.", "שָׁלוֹם עולם"),
        ("hi", "नमस्ते, दुनिया।", "नमस्ते, दुनिया।", "नमस्ते दुनिया"),
        ("fa", "می\u200cروم\u200f", "می\u200cروم", "می\u200cروم"),
        ("en-us", "a\u00ad\tb\u2028\x07 c", "a b c", "a b c"),
        ("en-us", "— ... ' «»", "— ... ' «»", ""),
    ],
)
def test_what_is_said_and_what_is_stored(language: str, line: str, said: str, stored: str) -> None:
    written = written_line(line, language)
    assert written.text == said
    assert written.stored_words == stored.split()
    assert len(written.written_words) == len(written.stored_words)


def test_pieces_are_cut_behind_clauses_and_lose_nothing() -> None:
    line = written_line("one two three, four five six seven “eight.” nine ten", "en-us")
    pieces = list(line.pieces(24))
    assert [piece.text for piece in pieces] == [
        "one two three,",
        "four five six seven",
        "“eight.” nine ten",
    ]
    assert [word for piece in pieces for word in piece.stored_words] == line.stored_words
    assert [piece.text for piece in written_line("overlong", "en-us").pieces(3)] == ["overlong"]
    assert [piece.text for piece in written_line("", "en-us").pieces(3)] == [""]
