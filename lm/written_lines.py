"""A line as it is written, for espeak-ng to say, and the words that it is stored as.

What is said keeps case, digits with their separators, and every mark, for they decide how a line
is read (`1,500`, `$20`, `R&B`, `a-t-il`, `Louis XIV`). What is stored of a word is lower case,
without the marks around it that nobody says.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

_APOSTROPHES = frozenset("'’ʼ‘`´")
_JOINERS = frozenset("\u200c\u200d")  # they shape letters of Persian and Indic words
_TATWEEL = "\u0640"
_HYPHENS = frozenset("-\u2010\u2011")
# Marks that some language has a name for, as part of a word; other punctuation parts words.
_NAMED = frozenset("#%&*/@\\§¶‰′″")
_INSIDE = frozenset(".:·・‧＇_") | _HYPHENS | _APOSTROPHES | _NAMED
_BETWEEN_DIGITS = frozenset(",٫٬")
_BEFORE_DIGITS = frozenset("-−.,")
_CLAUSE_ENDS = frozenset(".,;:!?…،؛؟۔।॥。，、；：！？።፣፤")
_CLOSING = frozenset("\"'»”’)]}")
_DOTTED_I_LANGUAGES = frozenset({"tr", "az", "tt", "kaa"})
_CASE_OF_DOTTED_I = str.maketrans({"I": "ı", "İ": "i"})


@dataclass(frozen=True)
class WrittenLine:
    """A line as espeak-ng is given it, in tokens between spaces.

    `written[i]` are the words in token i as they stand there, `words[i]` as they are stored.
    """

    tokens: tuple[str, ...]
    written: tuple[tuple[str, ...], ...]
    words: tuple[tuple[str, ...], ...]

    @property
    def text(self) -> str:
        """What is said."""
        return " ".join(self.tokens)

    @property
    def written_words(self) -> list[str]:
        """Each word as it stands in the line."""
        return [word for of_token in self.written for word in of_token]

    @property
    def stored_words(self) -> list[str]:
        """Each word as it is stored."""
        return [word for of_token in self.words for word in of_token]

    def __getitem__(self, part: slice) -> WrittenLine:
        """A part, in tokens."""
        return WrittenLine(self.tokens[part], self.written[part], self.words[part])

    def pieces(self, most_bytes: int) -> Iterator[WrittenLine]:
        """Parts of at most that many bytes (UTF-8, NFD; a token may be longer), cut behind clauses
        where there are any.
        """
        start, length, clause_end = 0, 0, 0
        sizes = [1 + len(unicodedata.normalize("NFD", token).encode()) for token in self.tokens]
        for i, size in enumerate(sizes):
            while length + size > most_bytes and start < i:
                end = clause_end if clause_end > start else i
                yield self[start:end]
                start, length = end, sum(sizes[end:i])
            length += size
            if self.tokens[i].rstrip("".join(_CLOSING))[-1:] in _CLAUSE_ENDS:
                clause_end = i + 1
        yield self[start:]


def written_line(line: str, language: str) -> WrittenLine:
    """The line, in Unicode form NFC and, if it is in capitals alone, in lower case."""
    dotted = language.split("-")[0] in _DOTTED_I_LANGUAGES
    said = unicodedata.normalize("NFC", line).translate(_SAID)
    if said.isupper() and all(c.isupper() for c in said if c.isalpha()):
        said = _lower(said, dotted)
    tokens = tuple(said.split())
    words = [_words(token, dotted) for token in tokens]
    return WrittenLine(tokens, tuple(w for w, _ in words), tuple(s for _, s in words))


@lru_cache(maxsize=1 << 17)
def _words(token: str, dotted: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The words in a token, as written and as stored."""
    written = tuple(word for part in _parts(token) if (word := _bare(part)))
    return written, tuple(_stored(word, dotted) for word in written)


def _parts(token: str) -> Iterator[str]:
    """A token parted at marks that belong to no word, such as dashes and quotes."""
    start = 0
    for i, character in enumerate(token):
        around = token[i - 1 : i] + token[i + 1 : i + 2]
        is_in_number = character in _BETWEEN_DIGITS and len(around) == 2 and around.isdigit()
        if not (_is_of_words(character) or character in _INSIDE or is_in_number):
            # a comma or dash may be the sign of the number behind it
            is_sign = character in _BEFORE_DIGITS and i == start and token[i + 1 : i + 2].isdigit()
            if not is_sign:
                yield token[start:i]
                start = i + 1
    yield token[start:]


def _bare(part: str) -> str:
    """Without the marks around it that are not said; empty where nothing is left."""
    start, end = 0, len(part)
    while end > start and not (_is_of_words(part[end - 1]) or part[end - 1] in _NAMED):
        end -= 1
    while start < end and not (_is_of_words(part[start]) or part[start] in _NAMED):
        if part[start] in _BEFORE_DIGITS and part[start + 1 : start + 2].isdigit():
            break
        start += 1
    return part[start:end]


def _stored(word: str, dotted: bool) -> str:
    lowered = unicodedata.normalize("NFC", _lower(word, dotted))
    return "".join("'" if character in _APOSTROPHES else character for character in lowered)


def _lower(text: str, dotted: bool) -> str:
    return (text.translate(_CASE_OF_DOTTED_I) if dotted else text).lower()


@lru_cache(maxsize=1 << 16)
def _is_of_words(character: str) -> bool:
    """Letters, marks, digits, and signs such as `$`, `+` and `°`, which have names."""
    category = unicodedata.category(character)
    if character in _APOSTROPHES or character in "<>|^~":
        return False
    return category[0] in "LMN" or category in ("Sc", "Sm", "So", "Co") or character in _JOINERS


class _SaidMap(dict[int, str]):
    """What each character becomes in what is said, worked out once: itself, a space or nothing."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if character == _TATWEEL or (category == "Cf" and character not in _JOINERS):
            said = ""
        else:
            said = " " if category in ("Cc", "Cs", "Zs", "Zl", "Zp") else character
        self[code] = said
        return said


_SAID = _SaidMap()
