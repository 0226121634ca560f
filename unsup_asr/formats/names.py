"""Names of files as ids and in messages: a name may hold anything but `/` and a zero byte.

Line ends, tabs, escape sequences and bytes that are no UTF-8 would break tables and terminals.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path


def id_of(name: str) -> str:
    """The id of what has this name: in Unicode form NFC, white space as `_`, the rest as `shown`.

    It is its own id. Two names may have one id; whoever makes ids refuses that.
    """
    return shown("_".join(unicodedata.normalize("NFC", name).split()))


def shown(text: str | os.PathLike[str]) -> str:
    """The text with what cannot be seen as escapes: `\\n`, `\\x1b`, `\\u200b`, and `\\xe9` for a
    byte that is no UTF-8.
    """
    return "".join(c if c.isprintable() else _escaped(c) for c in os.fspath(text))


def shown_in_lines(text: str) -> str:
    """As `shown`, of a text whose line ends are meant."""
    return "\n".join(shown(line) for line in text.split("\n"))


def stem_id(path: Path) -> str:
    """The utterance id of a file: of its name without the suffix."""
    return id_of(path.stem)


def files_by_id(paths: Iterable[Path]) -> dict[str, Path]:
    """Files by utterance id, in their order; ValueError for two of one id."""
    files: dict[str, Path] = {}
    for path in paths:
        key = stem_id(path)
        if key in files:
            raise ValueError(
                f"two files have the utterance id {key!r}: {shown(files[key])} and {shown(path)}. "
                "The id is the file's name without its suffix, with _ for white space; rename one"
            )
        files[key] = path
    return files


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps an undecodable byte
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
