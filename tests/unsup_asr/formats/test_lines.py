"""One reader of lines for every file."""

import gzip
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from lm.arpa import read_arpa
from lm.lexicon import Lexicon
from lm.token_lines import read_token_lines
from unsup_asr.corpora.folder_references import read_references
from unsup_asr.corpora.text_lines import read_text
from unsup_asr.formats.hypotheses import read_hypotheses, read_transcripts, read_words
from unsup_asr.formats.lines import numbered_lines, read_lines
from unsup_asr.scoring.folds import read_fold_table

COMPOSED, DECOMPOSED = "ç", unicodedata.normalize("NFD", "ç")


def test_lines_end_at_line_feeds_alone(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_bytes("a\u2028b\x0bc\x85d\r\n\ne\rf".encode())
    assert list(numbered_lines(path)) == [(1, "a\u2028b\x0bc\x85d"), (2, ""), (3, "e\rf")]


def test_a_byte_order_mark_and_the_unicode_form_make_no_difference(tmp_path: Path) -> None:
    plain, other = tmp_path / "plain.txt", tmp_path / "other.txt"
    plain.write_text(f"{COMPOSED} HH\n", "utf-8")
    other.write_text(f"{DECOMPOSED} HH\r\n", "utf-8-sig")
    assert list(read_lines(plain)) == list(read_lines(other)) == [f"{COMPOSED} HH"]


def test_what_is_not_utf8_is_named_with_its_line_and_byte(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes(b"one\nna\xefve\n")
    with pytest.raises(ValueError, match=r"latin\.txt:2: not UTF-8 \(byte 3 of the line is 0xef\)"):
        list(read_lines(path))


def test_gzip_is_unpacked_and_a_part_of_it_refused(tmp_path: Path) -> None:
    path = tmp_path / "lines.gz"
    path.write_bytes(gzip.compress(b"one\ntwo\n"))
    assert list(read_lines(path)) == ["one", "two"]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"lines\.gz: not a whole gzip file"):
        list(read_lines(path))


ARPA = "\\data\\\nngram 1=3\n\n\\1-grams:\n-99\t<s>\n-0.5\t</s>\n-0.5\tç\n\n\\end\\\n"
TABLE = "utterance_id\tphones\tstarts_s\tends_s"
READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "references": (f"{TABLE}\nu{COMPOSED}\tç h\t\t\n", read_transcripts),
    "hypotheses": (f"{TABLE}\tconfidences\nuç\tç h\t\t\t\n", read_hypotheses),
    "words": ("utterance_id\twords\nu\tça va\n", read_words),
    "own references": (
        "utterance_id\twords\nuç\tça va\n",
        lambda path: read_references(path, kind="words"),
    ),
    "fold": ("ç\tc\nb\tb\n", lambda path: read_fold_table(str(path)).fold(("ç",))),
    "lexicon": ("ça\ts a\n", Lexicon.read),
    "tokens": ("ça va\nbien\n", lambda path: list(read_token_lines(path))),
    "text": ("ça va\nbien\n", lambda path: list(read_text(path))),
    "arpa": (ARPA, lambda path: str(read_arpa(path))),
}


@pytest.mark.parametrize("name", READERS)
def test_every_reader_takes_any_form_of_the_same_text(name: str, tmp_path: Path) -> None:
    content, read = READERS[name]
    path = tmp_path / "file.tsv"
    path.write_text(content, "utf-8")
    expected = read(path)
    decomposed = unicodedata.normalize("NFD", content)
    assert decomposed != content
    for form in (content, decomposed):
        for encoding in ("utf-8", "utf-8-sig"):
            path.write_bytes(form.replace("\n", "\r\n").encode(encoding))
            assert read(path) == expected


@pytest.mark.parametrize("name", READERS)
def test_every_reader_names_the_line_that_is_not_utf8(name: str, tmp_path: Path) -> None:
    content, read = READERS[name]
    path = tmp_path / "file.tsv"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match=r"file\.tsv:\d+: not UTF-8"):
        read(path)
