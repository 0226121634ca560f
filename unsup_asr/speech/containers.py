"""Whether an audio file is all there: its container's own lengths against the bytes in the file.

Libraries read what they find. A file that was cut off, or two that were joined, come out shorter
than they are without a word; only the container tells.
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from unsup_asr.speech.mpeg import scan_mpeg

Bytes = bytes | mmap.mmap

# What writers into a pipe put where the length belongs: sox, ffmpeg and others.
_UNKNOWN_LENGTHS = frozenset(
    {0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFDB, 2**64 - 1}
)
# Eight fixed bytes of each header, so that samples do not look like one by chance.
_HEADERS = {
    b"RIFF": rb"RIFF.{4}WAVE",
    b"RF64": rb"RF64.{4}WAVE",
    b"FORM": rb"FORM.{4}(?:AIF[FC]|8SVX|16SV)",
    b"riff": re.escape(b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb"),
    b"caff": b"caff\x00\x01\x00\x00",
    b"fLaC": b"fLaC\x00\x00\x00\x22",
    b"NIST": rb"NIST_1A\n +1024\n",
}


def fault_of(path: Path) -> str | None:
    """What a file lacks of what its header announces, or has too much; None where it is whole.

    None as well for what is no audio, or announces nothing: decoding tells more.
    """
    if path.stat().st_size == 0:
        return None
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for magic, check in _CHECKS.items():
            if data[: len(magic)] == magic:
                return check(data) or _joined(data)
        return _mpeg_fault(data)


def _joined(data: Bytes) -> str | None:
    header = _HEADERS.get(bytes(data[:4]))
    if header is None:
        return None
    second = re.compile(header, re.DOTALL).search(data, 4)
    return None if second is None else _two_files(second.start())


def _two_files(place: int) -> str:
    return f"a second file begins at byte {place}, of which nothing would be heard; part the two"


def _announced(data: Bytes, start: int, length: int) -> str | None:
    """The fault of samples that should be `length` bytes from `start`."""
    if length == 0 and len(data) > start:
        return (
            f"its header says 0 bytes of audio and {len(data) - start} bytes follow: the recording "
            "was not closed; mend the header, such as with `sox --ignore-length IN OUT.wav`"
        )
    if length not in _UNKNOWN_LENGTHS and start + length > len(data):
        return _cut(f"{start + length} bytes", f"{len(data)}")
    return None


def _cut(announced: str, found: str) -> str:
    return (
        f"its header announces {announced}, there are {found}: the file was cut off. Copy it again"
    )


def _chunked(
    data: Bytes, *, first: int, size: struct.Struct, names: tuple[bytes, ...], align: int
) -> str | None:
    """Chunks of a name, a length and content: the one that holds the samples is whole."""
    place, name_bytes = first, len(names[0])
    large = _ds64_length(data) if data[:4] == b"RF64" else None
    while place + name_bytes + size.size <= len(data):
        name = data[place : place + name_bytes]
        (length,) = size.unpack_from(data, place + name_bytes)
        start = place + name_bytes + size.size
        if size is _W64_SIZE:
            length = max(0, length - name_bytes - size.size)  # counts its own header
        if name in names:
            return _announced(data, start, large if large is not None else length)
        place = start + length + -length % align
    return None  # no samples: decoding says so


def _ds64_length(data: Bytes) -> int | None:
    """Bytes of samples by the 64-bit header of RF64."""
    return struct.unpack_from("<Q", data, 28)[0] if data[12:16] == b"ds64" else None


_RIFF_SIZE, _FORM_SIZE, _W64_SIZE = struct.Struct("<I"), struct.Struct(">I"), struct.Struct("<Q")
_CAF_SIZE = struct.Struct(">Q")
_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"


def _riff_fault(data: Bytes) -> str | None:
    return _chunked(data, first=12, size=_RIFF_SIZE, names=(b"data",), align=2)


def _form_fault(data: Bytes) -> str | None:
    return _chunked(data, first=12, size=_FORM_SIZE, names=(b"SSND", b"BODY"), align=2)


def _w64_fault(data: Bytes) -> str | None:
    return _chunked(data, first=40, size=_W64_SIZE, names=(_W64_DATA,), align=8)


def _caf_fault(data: Bytes) -> str | None:
    return _chunked(data, first=8, size=_CAF_SIZE, names=(b"data",), align=1)


def _au_fault(data: Bytes) -> str | None:
    if len(data) < 12:
        return None
    start, length = struct.unpack_from(">II", data, 4)
    same_kind = re.escape(data[:8]) + b".{4}" + re.escape(data[12:24])
    second = re.compile(same_kind, re.DOTALL).search(data, 24)
    return _announced(data, start, length) or (second and _two_files(second.start()))


def _nist_fault(data: Bytes) -> str | None:
    """NIST SPHERE: lines `name -i value` in a header whose length stands in its second line."""
    found = re.match(rb"NIST_1A\n *(\d+)\n", data[:32])
    if found is None:
        return None
    start = int(found[1])
    fields = dict(re.findall(rb"(\w+) -i (\d+)", data[:start]))
    coding = re.search(rb"sample_coding -s\d+ (\S+)", data[:start])
    if coding is not None and b"," in coding[1]:
        return None  # compressed, so that the length says nothing
    values = [fields.get(key) for key in (b"sample_count", b"channel_count", b"sample_n_bytes")]
    length = 1
    for value in values:
        if value is None:
            return None
        length *= int(value)
    return _announced(data, start, length)


def _avr_fault(data: Bytes) -> str | None:
    if len(data) < 128:
        return None
    is_stereo, bits = struct.unpack_from(">HH", data, 12)
    (num_frames,) = struct.unpack_from(">I", data, 26)
    return _announced(data, 128, num_frames * (2 if is_stereo else 1) * bits // 8)


def _wve_fault(data: Bytes) -> str | None:
    return _announced(data, 32, struct.unpack_from(">I", data, 18)[0]) if len(data) > 32 else None


def _voc_fault(data: Bytes) -> str | None:
    """Blocks of a type, a length of 3 bytes and content, until one of type 0."""
    place = struct.unpack_from("<H", data, 20)[0] if len(data) > 22 else len(data)
    while place < len(data) and data[place] != 0:
        length = int.from_bytes(data[place + 1 : place + 4], "little")
        if place + 4 + length > len(data):
            return _cut(f"{place + 4 + length} bytes", f"{len(data)}")
        place += 4 + length
    return None


def _flac_fault(data: Bytes) -> str | None:
    """libsndfile counts the samples of FLAC itself, where their number is in the header."""
    if len(data) >= 26 and int.from_bytes(data[21:26], "big") & (1 << 36) - 1 == 0:
        return (
            "its header does not say how many samples there are, as of FLAC written into a pipe; "
            "write it again, such as with `sox IN OUT.flac`"
        )
    return None


@dataclass(frozen=True)
class _OggPage:
    place: int
    flags: int  # 2: first of its stream, 4: last
    end: int


def _ogg_fault(data: Bytes) -> str | None:
    """Pages up to the end of the file, the last one flagged so, and of one stream at a time."""
    is_begun, last = False, None
    for page in _ogg_pages(data):
        if page.end > len(data):
            return _cut(f"a page up to byte {page.end}", f"{len(data)} bytes")
        if page.flags & 2 and is_begun:
            return _two_files(page.place)
        is_begun |= not page.flags & 2
        last = page
    if last is None or not last.flags & 4:
        return "its last page is not marked as the last: the file was cut off. Copy it again"
    if last.end < len(data):
        return f"{len(data) - last.end} bytes behind its last page are no Ogg. Copy it again"
    return None


def _ogg_pages(data: Bytes) -> Iterator[_OggPage]:
    place = 0
    while data[place : place + 4] == b"OggS":
        if place + 27 > len(data) or place + 27 + data[place + 26] > len(data):
            yield _OggPage(place, 0, place + 27 + 255)  # cut inside its header
            return
        num_parts = data[place + 26]
        end = place + 27 + num_parts + sum(data[place + 27 : place + 27 + num_parts])
        yield _OggPage(place, data[place + 5], end)
        place = end


def _mpeg_fault(data: Bytes) -> str | None:
    """Whole frames, as many as the first one says where it says so, and of one file."""
    found = scan_mpeg(data)
    if found is None:
        return None
    if found.second_file is not None:
        return _two_files(found.second_file)
    # Some encoders count the frame that counts.
    if found.num_announced is not None and found.num_frames + 1 < found.num_announced:
        return _cut(f"{found.num_announced} frames", f"{found.num_frames}")
    if found.end > len(data):
        return _cut(f"a frame up to byte {found.end}", f"{len(data)} bytes")
    if found.num_announced is not None and found.num_frames > found.num_announced + 1:
        return (
            f"its header announces {found.num_announced} frames, there are {found.num_frames}, of "
            "which the last would not be heard; convert it again"
        )
    return None


_CHECKS: dict[bytes, Callable[[Bytes], str | None]] = {
    b"RIFF": _riff_fault,
    b"RF64": _riff_fault,
    b"FORM": _form_fault,
    b"riff": _w64_fault,
    b".snd": _au_fault,
    b"NIST_1A": _nist_fault,
    b"2BIT": _avr_fault,
    b"ALawSoundFile**": _wve_fault,
    b"Creative Voice File\x1a": _voc_fault,
    b"fLaC": _flac_fault,
    b"OggS": _ogg_fault,
    b"caff": _caf_fault,
}
