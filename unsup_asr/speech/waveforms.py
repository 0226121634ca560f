"""Recordings of a corpus as waveforms, read when asked for."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence

from unsup_asr.types import Float32Array, Utterance

log = logging.getLogger(__name__)

_MOST_APART_S = 0.01  # what is read, and what the manifest says


class Waveforms(Mapping[str, Float32Array]):
    """Samples (N,) in [-1, 1] of utterances by id; those of fewer samples are left out, and counted
    in the log.

    `lengths` has each N, as the manifest says it; what is read has that length.
    """

    def __init__(
        self, utterances: Sequence[Utterance], *, sample_rate: int, min_samples: int = 1
    ) -> None:
        self.sample_rate = sample_rate
        lengths = {u.id: math.ceil(round(u.duration_s * sample_rate, 3)) for u in utterances}
        self.lengths = {i: length for i, length in lengths.items() if length >= min_samples}
        self._utterances = {u.id: u for u in utterances if u.id in self.lengths}
        if num_short := len(lengths) - len(self.lengths):
            log.warning(
                "left out %d of %d utterances: shorter than one frame. If they are many, look at "
                "how the recordings were cut",
                *(num_short, len(lengths)),
            )

    def __getitem__(self, key: str) -> Float32Array:
        """ValueError for a file that cannot be read, or is of another length than it was."""
        # Here: networks are trained on features where nothing that reads audio is installed.
        from unsup_asr.speech.audio import read_utterance

        utterance, length = self._utterances[key], self.lengths[key]
        samples_N = read_utterance(utterance, sample_rate=self.sample_rate)
        if abs(len(samples_N) - length) > _MOST_APART_S * self.sample_rate:
            raise ValueError(
                f"{utterance.audio}: {len(samples_N)} samples of utterance {key!r} at "
                f"{self.sample_rate} Hz; the manifest says {length}. The file was changed since: "
                "run stage `corpus` again"
            )
        return samples_N[:length]

    def __iter__(self) -> Iterator[str]:
        return iter(self.lengths)

    def __len__(self) -> int:
        return len(self.lengths)
