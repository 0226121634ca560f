"""Lines of text files, the user's and ours, read in one way.

UTF-8 with or without a byte-order mark, in Unicode form NFC, so that one phone, word or name is one
string however it was typed. A line ends at \\n, a \\r before it goes; other characters that Unicode
calls line ends (U+2028, U+0085, form feed ...) are part of a line. Files named .gz are unpacked.
"""

from __future__ import annotations

import gzip
import unicodedata
import zlib
from collections.abc import Iterator
from pathlib import Path

_BOM = b"\xef\xbb\xbf"


def numbered_lines(path: Path, *, encoding: str = "utf-8") -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of each line, without its end; one at a time.

    ValueError names the line and byte that is not of the encoding, and a .gz that is cut off.
    """
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
        try:
            for number, raw in enumerate(stream, start=1):
                if number == 1:
                    raw = raw.removeprefix(_BOM)
                yield number, _decoded(path, number, raw, encoding)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(f"{path}: not a whole gzip file ({error}); copy it again") from error


def read_lines(path: Path) -> Iterator[str]:
    """Text of each line, as `numbered_lines`."""
    return (line for _, line in numbered_lines(path))


def _decoded(path: Path, number: int, raw: bytes, encoding: str) -> str:
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}:{number}: not UTF-8 (byte {error.start + 1} of the line is "
            f"0x{raw[error.start]:02x}); convert the file, such as with iconv -f latin1 -t utf-8"
        ) from error
    return unicodedata.normalize("NFC", text.removesuffix("\n").removesuffix("\r"))
