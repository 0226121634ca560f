"""Audio of any length as pieces, each cut from the next at a pause, with what surrounds it.

Axes: N samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from unsup_asr.types import Float32Array, Seconds

_PAUSE_S = 0.3  # of audio, whose quietest stretch of this length is where a cut goes through
_STEP_S = 0.01  # between places that are looked at


@dataclass(frozen=True)
class Piece:
    """Samples of a recording from its sample `first` on; its own are those from `start` to `end`.

    What lies before `start` and after `end` is of its neighbours, for networks that look around.
    `is_final` is False for a piece that audio to come will make longer.
    """

    samples_N: Float32Array
    first: int
    start: int
    end: int
    is_final: bool = True

    def __post_init__(self) -> None:
        if not self.first <= self.start < self.end <= self.first + len(self.samples_N):
            raise ValueError(
                f"a piece from sample {self.start} to {self.end}; expected some of the "
                f"{len(self.samples_N)} from {self.first} on"
            )


def cut_in_pieces(
    blocks: Iterable[Float32Array],
    sample_rate: int,
    *,
    longest_s: Seconds,
    around_s: Seconds,
    partial_s: Seconds | None = None,
) -> Iterator[Piece]:
    """Pieces that tile the audio of the blocks, each of at most `longest_s` of its own.

    A cut lies at the quietest place in the later half of what may be one piece. Audio that is no
    longer than `longest_s` is one piece. With `partial_s`, what there is of a piece is given as
    well whenever so much more has come.
    """
    longest, around = round(longest_s * sample_rate), round(around_s * sample_rate)
    wait = None if partial_s is None else max(1, round(partial_s * sample_rate))
    held, first, start = np.zeros(0, np.float32), 0, 0
    told = 0  # samples of the recording that a partial piece had
    for block in blocks:
        held = np.concatenate([held, block])
        while first + len(held) - start > longest + around:
            own = held[start - first :][:longest]
            end = start + len(own) // 2 + quietest(own[len(own) // 2 :], sample_rate)
            yield Piece(held[: end + around - first], first, start, end)
            past = max(0, end - around - first)
            held, first, start = held[past:].copy(), first + past, end
        known = first + len(held)
        if wait is not None and known - max(told, start) >= wait:
            told = known
            yield Piece(held, first, start, known, is_final=False)
    if first + len(held) > start:
        yield Piece(held, first, start, first + len(held))


def quietest(samples_N: Float32Array, sample_rate: int) -> int:
    """The middle of the quietest stretch as long as a pause, the first of equals."""
    step = max(1, round(_STEP_S * sample_rate))
    num_steps = len(samples_N) // step
    num_in_pause = round(_PAUSE_S / _STEP_S)
    if num_steps <= num_in_pause:
        return len(samples_N) // 2
    rows = samples_N[: num_steps * step].reshape(num_steps, step)
    energy = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
    sums = np.concatenate([[0.0], np.cumsum(energy)])
    pauses = sums[num_in_pause:] - sums[:-num_in_pause]
    return (int(np.argmin(np.round(pauses, 9))) * step) + num_in_pause * step // 2
