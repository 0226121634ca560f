"""Random damage: what disks, editors, networks and people do to files."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

Edit = Callable[[np.random.Generator, bytes], bytes]

_INSERTED = (
    *(b"\0", b"\xef\xbb\xbf", b"\xff", b"\xe9", b"\r\n", b"\r", b"\t", b"\n", b"\x1b[2J", b" "),
    *("\u2028".encode(), "\u0301".encode(), "\u202e".encode(), b"${oc.env:HOME}", b"%s{}"),
    *(b"[" * 3000, b"{" * 300, b"-" * 300, b"1" * 6000, b'"', b"\\", b"null", b"NaN", b"../"),
    *(b"\xff\xfe", b"\xc3", b"\n\n", b"'", b"{", b"]", b"[[[[" * 50, b"-1", b"1e999", b"true"),
)
_NUMBERS = (b"0", b"-1", b"1e999", b"nan", b"-inf", b"9" * 19, b"9" * 400, b"0.5", b"true", b"[]")


def _flip_bits(rng: np.random.Generator, content: bytes) -> bytes:
    if not content:
        return content
    edited = bytearray(content)
    for place in rng.integers(len(content), size=rng.integers(1, 9)):
        edited[place] ^= 1 << int(rng.integers(8))
    return bytes(edited)


def _flip_near_the_start(rng: np.random.Generator, content: bytes) -> bytes:
    head = min(len(content), 64)
    return _flip_bits(rng, content[:head]) + content[head:]


def _cut(rng: np.random.Generator, content: bytes) -> bytes:
    return content[: rng.integers(len(content) + 1)]


def _remove(rng: np.random.Generator, content: bytes) -> bytes:
    start, end = sorted(rng.integers(len(content) + 1, size=2))
    return content[:start] + content[end:]


def _repeat(rng: np.random.Generator, content: bytes) -> bytes:
    start, end = sorted(rng.integers(len(content) + 1, size=2))
    return content[:end] + content[start:]


def _insert(rng: np.random.Generator, content: bytes) -> bytes:
    place = rng.integers(len(content) + 1)
    return content[:place] + _INSERTED[rng.integers(len(_INSERTED))] + content[place:]


def _insert_noise(rng: np.random.Generator, content: bytes) -> bytes:
    place = rng.integers(len(content) + 1)
    return content[:place] + rng.bytes(int(rng.integers(1, 40))) + content[place:]


def _swap_lines(rng: np.random.Generator, content: bytes) -> bytes:
    lines = content.split(b"\n")
    one, other = rng.integers(len(lines), size=2)
    lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


def _shuffle_lines(rng: np.random.Generator, content: bytes) -> bytes:
    lines = content.split(b"\n")
    rng.shuffle(lines)
    return b"\n".join(lines)


def _other_value(rng: np.random.Generator, content: bytes) -> bytes:
    values = content.split(b" ")
    values[rng.integers(len(values))] = _INSERTED[rng.integers(len(_INSERTED))]
    return b" ".join(values)


def _other_number(rng: np.random.Generator, content: bytes) -> bytes:
    found = list(re.finditer(rb"-?\d+(\.\d+)?", content))
    if not found:
        return _insert(rng, content)
    match = found[rng.integers(len(found))]
    number = _NUMBERS[rng.integers(len(_NUMBERS))]
    return content[: match.start()] + number + content[match.end() :]


def _other_word(rng: np.random.Generator, content: bytes) -> bytes:
    found = list(re.finditer(rb"[A-Za-z_]+", content))
    if not found:
        return _insert_noise(rng, content)
    one, other = (found[i] for i in rng.integers(len(found), size=2))
    return content[: one.start()] + other[0] + content[one.end() :]


def _noise(rng: np.random.Generator, content: bytes) -> bytes:
    return rng.bytes(int(rng.integers(1, 2 + len(content))))


def _nothing(rng: np.random.Generator, content: bytes) -> bytes:
    del rng, content
    return b""


def _twice(rng: np.random.Generator, content: bytes) -> bytes:
    del rng
    return content + content


EDITS: tuple[Edit, ...] = (
    *(_flip_bits, _flip_near_the_start, _cut, _remove, _repeat, _insert, _insert_noise),
    *(_swap_lines, _shuffle_lines, _other_number, _other_word, _other_value),
    *(_noise, _nothing, _twice),
)
