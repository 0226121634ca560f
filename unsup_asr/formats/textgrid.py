"""Recognised phones, and words, as a Praat TextGrid, long text format.

Source of the format: Praat's manual, "TextGrid file formats".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from unsup_asr.types import Hypothesis, Seconds, WordHypothesis


def textgrid(
    hypothesis: Hypothesis, *, duration_s: Seconds, words: WordHypothesis | None = None
) -> str:
    """The file's text: a tier `phones`, above it one of `words`, whose intervals tile the
    recording; below each, where there are confidences, the same intervals with those.

    Stretches without a label get an interval with an empty one. ValueError when there are no times,
    or spans overlap or go beyond the recording.
    """
    h = hypothesis
    tiers = _tiers("phones", "phone", h.phones, h)
    if words is not None:
        tiers = _tiers("words", "word", words.words, words) + tiers
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        f"xmax = {_number(duration_s)}",
        "tiers? <exists>",
        f"size = {len(tiers)}",
        "item []:",
    ]
    for number, tier in enumerate(tiers, start=1):
        lines += [f"    item [{number}]:", *_tier_lines(tier, duration_s)]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class _Tier:
    name: str
    kind: str  # what one label is, in messages
    utterance_id: str
    labels: Sequence[str]
    starts_s: Sequence[Seconds]
    ends_s: Sequence[Seconds]


def _tiers(
    name: str, kind: str, labels: Sequence[str], timed: Hypothesis | WordHypothesis
) -> list[_Tier]:
    where = (timed.starts_s, timed.ends_s)
    tiers = [_Tier(name, kind, timed.utterance_id, labels, *where)]
    if timed.confidences:
        values = [f"{confidence:.2f}" for confidence in timed.confidences]
        tiers.append(_Tier(f"{name} confidence", kind, timed.utterance_id, values, *where))
    return tiers


def _tier_lines(tier: _Tier, duration_s: Seconds) -> list[str]:
    intervals = list(_tiled(tier, duration_s))
    lines = [
        '        class = "IntervalTier"',
        f'        name = "{tier.name}"',
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
    return lines


def _tiled(tier: _Tier, duration_s: Seconds) -> Iterator[tuple[Seconds, Seconds, str]]:
    """(start, end, label) from 0 to the end, gaps filled; times rounded to microseconds."""
    name, end_of_all = tier.utterance_id, round(duration_s, 6)
    if not len(tier.starts_s) == len(tier.ends_s) == len(tier.labels):
        raise ValueError(
            f"utterance {name!r}: {len(tier.labels)} {tier.name}, {len(tier.starts_s)} "
            f"starts and {len(tier.ends_s)} ends; a TextGrid needs one of each"
        )
    last = 0.0
    for label, start, end in zip(tier.labels, tier.starts_s, tier.ends_s, strict=True):
        start_s, end_s = round(start, 6), round(end, 6)
        if not last <= start_s < end_s <= end_of_all:
            raise ValueError(
                f"utterance {name!r}: {tier.kind} {label!r} from {start_s} to {end_s} s; expected "
                f"it between {last} s, where the one before ends, and {end_of_all} s, the "
                "recording's end"
            )
        if start_s > last:
            yield last, start_s, ""
        yield start_s, end_s, label
        last = end_s
    if last < end_of_all:
        yield last, end_of_all, ""


def _number(seconds: Seconds) -> str:
    return f"{seconds:.6f}".rstrip("0").rstrip(".")
