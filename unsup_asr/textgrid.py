"""Recognised phones as a Praat TextGrid, long text format.

Source of the format: Praat's manual, "TextGrid file formats".
"""

from __future__ import annotations

from collections.abc import Iterator

from unsup_asr.types import Hypothesis, Seconds


def textgrid(hypothesis: Hypothesis, *, duration_s: Seconds) -> str:
    """The file's text: one tier, `phones`, whose intervals tile the recording.

    Stretches without a phone get an interval with an empty label. ValueError when the phones have
    no times, overlap, or go beyond the recording.
    """
    intervals = list(_tiled(hypothesis, duration_s))
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        f"xmax = {_number(duration_s)}",
        "tiers? <exists>",
        "size = 1",
        "item []:",
        "    item [1]:",
        '        class = "IntervalTier"',
        '        name = "phones"',
        "        xmin = 0",
        f"        xmax = {_number(duration_s)}",
        f"        intervals: size = {len(intervals)}",
    ]
    for number, (start_s, end_s, label) in enumerate(intervals, start=1):
        lines += [
            f"        intervals [{number}]:",
            f"            xmin = {_number(start_s)}",
            f"            xmax = {_number(end_s)}",
            f'            text = "{label.replace(chr(34), chr(34) * 2)}"',
        ]
    return "\n".join(lines) + "\n"


def _tiled(hypothesis: Hypothesis, duration_s: Seconds) -> Iterator[tuple[Seconds, Seconds, str]]:
    """(start, end, phone) from 0 to the end, gaps filled; times rounded to microseconds."""
    name, end_of_all = hypothesis.utterance_id, round(duration_s, 6)
    if not len(hypothesis.starts_s) == len(hypothesis.ends_s) == len(hypothesis.phones):
        raise ValueError(
            f"utterance {name!r}: {len(hypothesis.phones)} phones, {len(hypothesis.starts_s)} "
            f"starts and {len(hypothesis.ends_s)} ends; a TextGrid needs one of each"
        )
    last = 0.0
    for phone, start, end in zip(
        hypothesis.phones, hypothesis.starts_s, hypothesis.ends_s, strict=True
    ):
        start_s, end_s = round(start, 6), round(end, 6)
        if not last <= start_s < end_s <= end_of_all:
            raise ValueError(
                f"utterance {name!r}: phone {phone!r} from {start_s} to {end_s} s; expected it "
                f"between {last} s, where the one before ends, and {end_of_all} s, the recording's "
                "end"
            )
        if start_s > last:
            yield last, start_s, ""
        yield start_s, end_s, phone
        last = end_s
    if last < end_of_all:
        yield last, end_of_all, ""


def _number(seconds: Seconds) -> str:
    return f"{seconds:.6f}".rstrip("0").rstrip(".")
