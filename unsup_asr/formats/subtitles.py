"""Recognised words, or phones, as subtitles: SubRip (.srt) and WebVTT (.vtt).

Sources: W3C, "WebVTT: The Web Video Text Tracks Format"; SubRip has no standard, players agree.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from unsup_asr.types import Seconds

_LONGEST_S = 6.0  # of one subtitle, and its letters: two lines of what a reader takes in
_MOST_LETTERS = 74
_PAUSE_S = 0.8  # between words that are not of one subtitle


@dataclass(frozen=True)
class Subtitle:
    """A text and when it is shown."""

    start_s: Seconds
    end_s: Seconds
    text: str


def subtitles(
    labels: Sequence[str], starts_s: Sequence[Seconds], ends_s: Sequence[Seconds]
) -> Iterator[Subtitle]:
    """Words in groups that can be read, parted at pauses."""
    first = 0
    for i in range(1, len(labels) + 1):
        is_last = (
            i == len(labels)
            or starts_s[i] - ends_s[i - 1] >= _PAUSE_S
            or ends_s[i] - starts_s[first] > _LONGEST_S
            or len(" ".join(labels[first : i + 1])) > _MOST_LETTERS
        )
        if is_last:
            yield Subtitle(starts_s[first], ends_s[i - 1], " ".join(labels[first:i]))
            first = i


def srt(found: Sequence[Subtitle]) -> str:
    """SubRip's text."""
    return "\n".join(
        f"{number}\n{_time(s.start_s, ',')} --> {_time(s.end_s, ',')}\n{s.text}\n"
        for number, s in enumerate(found, start=1)
    )


def vtt(found: Sequence[Subtitle]) -> str:
    """WebVTT's text."""
    cues = [
        f"{_time(s.start_s, '.')} --> {_time(s.end_s, '.')}\n{html.escape(s.text, quote=False)}\n"
        for s in found
    ]
    return "\n".join(["WEBVTT\n", *cues])


def _time(seconds: Seconds, point: str) -> str:
    whole, milliseconds = divmod(round(1000 * seconds), 1000)
    minutes, whole = divmod(whole, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{whole:02d}{point}{milliseconds:03d}"
