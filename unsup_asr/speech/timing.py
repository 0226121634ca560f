"""From frame indices to seconds and back, in one place."""

from __future__ import annotations

from unsup_asr.protocols import Upstream
from unsup_asr.types import FrameIndex, Seconds

FRAME_S = 0.025  # of audio in one frame: Kaldi's usual window, wav2vec 2.0's receptive field
MIN_FRAMES = 4  # of an utterance: shorter ones are left out


def frame_centre(frame: FrameIndex, *, shift_s: Seconds, first_centre_s: Seconds) -> Seconds:
    """Time of the middle of the frame's receptive field, from the start of the audio."""
    return first_centre_s + frame * shift_s


def frame_boundary(frame: FrameIndex, *, shift_s: Seconds, first_centre_s: Seconds) -> Seconds:
    """Time of a boundary before the frame: halfway to the centre of the frame before, >= 0."""
    return max(0.0, first_centre_s + (frame - 0.5) * shift_s)


def nearest_frame(
    time_s: Seconds, *, shift_s: Seconds, first_centre_s: Seconds, num_frames: int
) -> FrameIndex:
    """The frame whose centre is nearest to a time, within 0 to num_frames - 1."""
    return min(max(round((time_s - first_centre_s) / shift_s), 0), num_frames - 1)


def frame_samples(upstream: Upstream) -> int:
    """Samples that a frame is computed from."""
    return int(FRAME_S * upstream.sample_rate)


def shortest_samples(upstream: Upstream) -> int:
    """Audio of fewer samples has fewer than MIN_FRAMES frames."""
    return frame_samples(upstream) + (MIN_FRAMES - 1) * upstream.frame_shift_samples
