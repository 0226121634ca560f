"""What was heard in stretches of a recording, and all of them as one.

A stretch is heard with what surrounds it; its own are the phones and words whose middle lies in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from unsup_asr.types import Hypothesis, Seconds, WordHypothesis

_Columns: TypeAlias = tuple[
    tuple[str, ...], tuple[Seconds, ...], tuple[Seconds, ...], tuple[float, ...]
]


@dataclass(frozen=True)
class Heard:
    """What was heard of a recording from `start_s` to `end_s`; times are of the recording.

    `words` is None where words were not looked for. `is_final` is False where audio that is still
    to come may change it.
    """

    phones: Hypothesis
    words: WordHypothesis | None
    start_s: Seconds
    end_s: Seconds
    is_final: bool = True


def own_part(heard: Heard, *, first_s: Seconds) -> Heard:
    """Of what was heard in audio that began at `first_s`, times of which it has, its own."""
    phones, words = heard.phones, heard.words
    span = (first_s, heard.start_s, heard.end_s)
    return Heard(
        Hypothesis(phones.utterance_id, *_own(phones.phones, phones, *span)),
        None
        if words is None
        else WordHypothesis(words.utterance_id, *_own(words.words, words, *span)),
        heard.start_s,
        heard.end_s,
        heard.is_final,
    )


def joined(stretches: Iterable[Heard]) -> Heard:
    """Consecutive stretches of one recording as one."""
    parts = list(stretches)
    assert parts, "a recording has one stretch at least"
    words = [part.words for part in parts if part.words is not None]
    utterance_id = parts[0].phones.utterance_id
    return Heard(
        Hypothesis(utterance_id, *_all([_columns(p.phones.phones, p.phones) for p in parts])),
        WordHypothesis(utterance_id, *_all([_columns(w.words, w) for w in words]))
        if words
        else None,
        parts[0].start_s,
        parts[-1].end_s,
        parts[-1].is_final,
    )


def _own(
    labels: tuple[str, ...],
    timed: Hypothesis | WordHypothesis,
    first_s: Seconds,
    start_s: Seconds,
    end_s: Seconds,
) -> _Columns:
    rows = zip(labels, timed.starts_s, timed.ends_s, timed.confidences, strict=True)
    inside = [
        (label, max(start_s, first_s + a), min(end_s, first_s + b), confidence)
        for label, a, b, confidence in rows
        if start_s <= first_s + (a + b) / 2 < end_s
    ]
    return (
        tuple(row[0] for row in inside),
        tuple(row[1] for row in inside),
        tuple(row[2] for row in inside),
        tuple(row[3] for row in inside),
    )


def _columns(labels: tuple[str, ...], timed: Hypothesis | WordHypothesis) -> _Columns:
    return labels, timed.starts_s, timed.ends_s, timed.confidences


def _all(parts: Sequence[_Columns]) -> _Columns:
    return (
        tuple(value for part in parts for value in part[0]),
        tuple(value for part in parts for value in part[1]),
        tuple(value for part in parts for value in part[2]),
        tuple(value for part in parts for value in part[3]),
    )
