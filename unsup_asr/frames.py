"""From frame indices to seconds and back, in one place."""

from __future__ import annotations

from unsup_asr.types import FrameIndex, Seconds


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
