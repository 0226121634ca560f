"""The values that travel between stages. None of them can be built wrong.

An `Utterance` carries no text: what was said is a `Transcript`, another type in another file,
so a stage that trains on utterances cannot see references by accident.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Seconds: TypeAlias = float
FrameIndex: TypeAlias = int
Float32Array: TypeAlias = NDArray[np.float32]
Float64Array: TypeAlias = NDArray[np.float64]
Int32Array: TypeAlias = NDArray[np.int32]
Int64Array: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]


SPLITS = ("train", "dev", "test")
# What corpora and texts call silence, where it is a phone among phones.
SILENCES = frozenset({"sil", "SIL", "<SIL>", "<sil>", "pau", "h#"})


@dataclass(frozen=True)
class FrameTiming:
    """When frames are: the middle of frame i lies at `first_centre_s` + i * `shift_s`."""

    shift_s: Seconds
    first_centre_s: Seconds

    def __post_init__(self) -> None:
        if not 0 < self.shift_s < np.inf or not 0 <= self.first_centre_s < np.inf:
            raise ValueError(
                f"a frame every {self.shift_s} s, the first centred at {self.first_centre_s} s; "
                "expected a shift above 0 and a centre at 0 or later"
            )

    def boundary_s(self, frame: FrameIndex) -> Seconds:
        """Time of a boundary before the frame: halfway to the centre of the one before, >= 0."""
        return max(0.0, self.first_centre_s + (frame - 0.5) * self.shift_s)


@dataclass(frozen=True)
class Utterance:
    """One recording, or a part of one: `audio` is a path relative to its manifest, or absolute.

    `channel` is the one that is heard, from 1; None for the mean of all. `start_s` is where in the
    recording a part begins, which lasts `duration_s`; None for all of it.
    """

    id: str
    audio: str
    speaker: str
    duration_s: Seconds
    channel: int | None = None
    start_s: Seconds | None = None

    def __post_init__(self) -> None:
        if not self.id or not self.id.isprintable() or any(c.isspace() for c in self.id):
            raise ValueError(
                f"utterance id {self.id!r} is empty, or has white space or what cannot be seen"
            )
        if self.channel is not None and self.channel < 1:
            raise ValueError(
                f"utterance {self.id!r} has channel {self.channel}; expected 1 or more, or none"
            )
        if not 0 < self.duration_s < np.inf:
            raise ValueError(
                f"utterance {self.id!r} has duration {self.duration_s} s; expected > 0"
            )
        if self.start_s is not None and not 0 <= self.start_s < np.inf:
            raise ValueError(
                f"utterance {self.id!r} starts at {self.start_s} s; expected 0 or later"
            )


@dataclass(frozen=True)
class Transcript:
    """What was said: phones, and where the corpus is aligned, one (start, end) a phone."""

    utterance_id: str
    phones: tuple[str, ...]
    starts_s: tuple[Seconds, ...] = ()
    ends_s: tuple[Seconds, ...] = ()

    def __post_init__(self) -> None:
        if self.starts_s and not len(self.starts_s) == len(self.ends_s) == len(self.phones):
            raise ValueError(
                f"transcript {self.utterance_id!r}: {len(self.phones)} phones, "
                f"{len(self.starts_s)} starts and {len(self.ends_s)} ends; expected one of each"
            )


@dataclass(frozen=True)
class Segments:
    """Consecutive spans that tile one utterance; `boundaries` has num_segments + 1 frames."""

    utterance_id: str
    boundaries: Int32Array  # strictly increasing, from 0 to num_frames

    def __post_init__(self) -> None:
        b = self.boundaries
        if b.ndim != 1 or len(b) < 2 or b[0] != 0 or np.any(np.diff(b) <= 0):
            raise ValueError(
                f"segments of {self.utterance_id!r} do not tile the utterance: boundaries must be "
                f"strictly increasing from 0, found {b[:8].tolist()}..."
            )


@dataclass(frozen=True)
class Hypothesis:
    """Recognised phones of one utterance; times and confidences (0 to 1) where there are any."""

    utterance_id: str
    phones: tuple[str, ...]
    starts_s: tuple[Seconds, ...] = ()
    ends_s: tuple[Seconds, ...] = ()
    confidences: tuple[float, ...] = ()


@dataclass(frozen=True)
class WordHypothesis:
    """Recognised words of one utterance; times and confidences (0 to 1) where there are any."""

    utterance_id: str
    words: tuple[str, ...]
    starts_s: tuple[Seconds, ...] = ()
    ends_s: tuple[Seconds, ...] = ()
    confidences: tuple[float, ...] = ()


@dataclass(frozen=True)
class ErrorCounts:
    """Edit operations against a reference; `rate` is in percent."""

    insertions: int
    deletions: int
    substitutions: int
    reference_length: int

    @property
    def rate(self) -> float:
        """Error rate in percent: 100 (ins + del + sub) / reference length."""
        if self.reference_length == 0:
            raise ValueError("error rate over an empty reference is undefined")
        errors = self.insertions + self.deletions + self.substitutions
        return 100.0 * errors / self.reference_length

    def __add__(self, other: ErrorCounts) -> ErrorCounts:
        return ErrorCounts(
            self.insertions + other.insertions,
            self.deletions + other.deletions,
            self.substitutions + other.substitutions,
            self.reference_length + other.reference_length,
        )


@dataclass(frozen=True)
class RunRecord:
    """What made results: the command without --exp, the commit of this code, the day it began."""

    command: str
    commit: str
    date: str
