"""The frames of MPEG audio (mp3, mp2): how many, and what the first one says of that.

An encoder may write one frame without sound in front that counts the others (Xing, Info, VBRI);
decoders stop there, whatever follows. Headers: ISO/IEC 11172-3, 2.4.1.3, and 13818-3.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass

_Bytes = bytes | mmap.mmap

# kbit/s by index, of (whether version 1, layer); Hz of version 1, of which others have fractions.
_KBIT = {
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_HZ = (44100, 48000, 32000)
_HALVINGS = {3: 0, 2: 1, 0: 2}  # of the rate, by the two bits of the version: 1, 2, 2.5
_COUNTING = re.compile(rb"Xing|Info|VBRI")


@dataclass(frozen=True)
class MpegScan:
    """Frames of sound, how many there should be if the file says, and where the last one ends.

    `second_file` is the place of a frame that only the beginning of another file can be.
    """

    num_frames: int
    num_announced: int | None
    end: int
    second_file: int | None


def scan_mpeg(data: _Bytes) -> MpegScan | None:
    """What the frames say; None for what is no MPEG audio, or of a free bit rate."""
    first = _frame_at(data, _behind_tags(data))
    if first is None:
        return None
    num_announced = _announced(data, first)
    num_frames, last = 0, first
    for frame in _frames(data, first):
        is_new = frame.place > first.place and _announced(data, frame) is not None
        if is_new or frame.kind != first.kind:
            return MpegScan(num_frames, num_announced, last.end, frame.place)
        num_frames, last = num_frames + 1, frame
    num_sounding = num_frames - (num_announced is not None)
    return MpegScan(num_sounding, num_announced, last.end, None)


@dataclass(frozen=True)
class _Frame:
    place: int
    end: int
    kind: tuple[int, int, int]  # version, layer, rate


def _frame_at(data: _Bytes, place: int) -> _Frame | None:
    """The frame whose header stands at the place; None where none does, or its rate is free."""
    header = data[place : place + 4]
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    kbit_index, hz_index, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version not in _HALVINGS or layer == 4 or hz_index == 3 or kbit_index in (0, 15):
        return None
    is_first = version == 3
    hz = _HZ[hz_index] >> _HALVINGS[version]
    bits = 1000 * _KBIT[(is_first, layer)][kbit_index]
    if layer == 1:
        length = (12 * bits // hz + padding) * 4
    else:
        length = (144 if is_first or layer == 2 else 72) * bits // hz + padding
    return _Frame(place, place + length, (version, layer, hz))


def _behind_tags(data: _Bytes) -> int:
    """Where sound can begin: behind ID3 tags and the padding behind these."""
    place = 0
    while data[place : place + 3] == b"ID3" and place + 10 <= len(data):
        size = 0
        for byte in data[place + 6 : place + 10]:
            size = size << 7 | byte & 0x7F
        place += 10 + size
    while place and place < len(data) and data[place] == 0:
        place += 1
    return place


def _frames(data: _Bytes, first: _Frame) -> Iterator[_Frame]:
    """One behind the other; behind what is no frame, the next two of the first one's kind."""
    frame: _Frame | None = first
    while frame is not None:
        yield frame
        place = frame.end
        frame = _frame_at(data, place)
        while frame is None:
            place = data.find(b"\xff", place + 1)
            if place < 0:
                return
            found = _frame_at(data, place)
            if found is not None and found.kind == first.kind:
                behind = _frame_at(data, found.end)
                frame = found if behind is not None and behind.kind == first.kind else None


def _announced(data: _Bytes, frame: _Frame) -> int | None:
    """How many frames follow, by a frame without sound; None for one that does not say."""
    head = bytes(data[frame.place : min(frame.end, frame.place + 64)])
    found = _COUNTING.search(head, 4)
    if found is None or any(head[4 : found.start()]):
        return None
    place = found.start()
    if found[0] == b"VBRI":
        return int.from_bytes(head[place + 14 : place + 18], "big")
    has_number = head[place + 7 : place + 8] and head[place + 7] & 1
    return int.from_bytes(head[place + 8 : place + 12], "big") if has_number else None
