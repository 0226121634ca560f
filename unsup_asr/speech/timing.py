"""When the frames of an upstream are, and how that is kept beside them."""

from __future__ import annotations

import json
from pathlib import Path

from unsup_asr.protocols import Upstream
from unsup_asr.types import FrameTiming

FRAME_S = 0.025  # of audio in one frame: Kaldi's usual window, wav2vec 2.0's receptive field
MIN_FRAMES = 4  # of an utterance: shorter ones are left out


def timing_of(upstream: Upstream) -> FrameTiming:
    """When the frames of an upstream are."""
    shift_s = upstream.frame_shift_samples / upstream.sample_rate
    return FrameTiming(shift_s, upstream.first_centre_s)


def frame_samples(upstream: Upstream) -> int:
    """Samples that a frame is computed from."""
    return int(FRAME_S * upstream.sample_rate)


def shortest_samples(upstream: Upstream) -> int:
    """Audio of fewer samples has fewer than MIN_FRAMES frames."""
    return frame_samples(upstream) + (MIN_FRAMES - 1) * upstream.frame_shift_samples


def check_same_frames(other: Upstream, upstream: Upstream, *, option: str) -> None:
    """ValueError unless both read audio of one rate and give their frames at the same times.

    Windows of two lengths have their centres apart: by half a shift at most.
    """
    found, wanted = timing_of(other), timing_of(upstream)
    apart_s = abs(found.first_centre_s - wanted.first_centre_s)
    if (
        other.sample_rate != upstream.sample_rate
        or found.shift_s != wanted.shift_s
        or apart_s > wanted.shift_s / 2
    ):
        raise ValueError(
            f"{option} reads {other.sample_rate} Hz and gives a frame every {found.shift_s} s from "
            f"{found.first_centre_s:g} s; features.upstream {upstream.sample_rate} Hz, every "
            f"{wanted.shift_s} s from {wanted.first_centre_s:g} s. Make them equal: for Kaldi's "
            f"features frame_shift_ms={1000 * wanted.shift_s:g}"
        )


def write_timing(path: Path, timing: FrameTiming) -> None:
    """Write what `read_timing` reads."""
    fields = {"frame_shift_s": timing.shift_s, "first_centre_s": timing.first_centre_s}
    path.write_text(json.dumps(fields), "utf-8")


def read_timing(path: Path) -> FrameTiming:
    """The timing in a file; ValueError when it is damaged."""
    try:
        fields = json.loads(path.read_text("utf-8"))
        return FrameTiming(float(fields["frame_shift_s"]), float(fields["first_centre_s"]))
    except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
        raise ValueError(
            f"{path}: no frame_shift_s and first_centre_s ({error}); run stage `features` again"
        ) from error
