"""What a recording taken in pieces remembers from one piece to the next.

Speech, so that a piece without any is known to be silent; frames, so that MFCC are normalised by
more than the piece. Axes: N samples, K frames that stay, T frames, D dims.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from unsup_asr.protocols import Silence
from unsup_asr.types import Float32Array, Int32Array, Seconds
from unsup_asr.upstreams.normalise import SpeakerStatistics, streamed_statistics

LONGEST_S: Seconds = 60.0  # of audio that is heard at once; twice the longest utterances of corpora
AROUND_S: Seconds = 1.0  # on both sides of a piece: more than networks on MFCC see
_SPEECH_S: Seconds = 30.0  # that are remembered
_FRAMES = 30_000  # of 10 ms: five minutes


@dataclass
class SilenceAfterSpeech:
    """A detector of silence that is shown the last speech before each piece.

    Detectors compare a recording's frames with its own loud ones: of a piece that is silent
    throughout they would call half speech.
    """

    silence: Silence
    sample_rate: int
    speech_N: Float32Array = field(default_factory=lambda: np.zeros(0, np.float32))

    def speech_frames(
        self, samples_N: Float32Array, *, frame_samples: int, shift_samples: int
    ) -> Int32Array:
        """Original index of each frame of the piece that stays, increasing; maybe none."""
        num_before = len(self.speech_N) // shift_samples
        before_N = self.speech_N[len(self.speech_N) - num_before * shift_samples :]
        found_K = self.silence.speech_frames(
            np.concatenate([before_N, samples_N]),
            frame_samples=frame_samples,
            shift_samples=shift_samples,
        )
        own_K = found_K[found_K >= num_before] - num_before
        places = (
            own_K.astype(np.int64)[:, None] * shift_samples + np.arange(shift_samples)
        ).ravel()
        longest = round(_SPEECH_S * self.sample_rate)
        self.speech_N = np.concatenate([self.speech_N, samples_N[places]])[-longest:]
        return own_K


@dataclass
class RecentFrames:
    """Frames of the last minutes, whose mean and deviation are those of whoever speaks now."""

    arrays_TD: deque[Float32Array] = field(default_factory=deque)

    def statistics_with(self, frames_TD: Float32Array) -> SpeakerStatistics:
        """Of these frames and the recent ones."""
        return streamed_statistics([*self.arrays_TD, frames_TD])

    def remember(self, frames_TD: Float32Array) -> None:
        """Take them in, and let go of what lies minutes back."""
        self.arrays_TD.append(frames_TD)
        while len(self.arrays_TD) > 1 and sum(map(len, self.arrays_TD)) > _FRAMES:
            self.arrays_TD.popleft()
