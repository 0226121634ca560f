"""Files of tokens, one sentence a line, read as lmplz reads them.

But for a last line without line break: lmplz gives it no </s>, and then misplaces back-off weights.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from unsup_asr.formats.lines import read_lines

_NO_SPACE_FOR_LMPLZ = re.compile("[^\\S\t\r\n ]")  # no-break space, form feed...
_BETWEEN_WORDS = re.compile("[\0\t\r\n ]+")


def read_token_lines(path: Path) -> Iterator[list[str]]:
    """The words of each line; ValueError for a missing file or a line that is not UTF-8."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected text, one sentence a line")
    for text in read_lines(path):
        if "\0" in text or _NO_SPACE_FOR_LMPLZ.search(text):
            yield [word for word in _BETWEEN_WORDS.split(text) if word]
        else:
            yield text.split()  # the same, four times faster
