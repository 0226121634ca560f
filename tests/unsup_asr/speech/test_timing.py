"""When frames are, on disk and between two upstreams."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from unsup_asr.speech.timing import check_same_frames, read_timing, timing_of, write_timing
from unsup_asr.types import FrameTiming
from unsup_asr.upstreams.kaldi_features import KaldiFbank, KaldiMFCC


def test_a_boundary_lies_between_two_centres_and_not_before_the_audio() -> None:
    assert FrameTiming(0.01, 0.0125).boundary_s(10) == pytest.approx(0.1075)
    assert FrameTiming(0.1, 0.0125).boundary_s(0) == 0.0


@pytest.mark.parametrize("values", [(0.0, 0.01), (-0.01, 0.01), (0.01, -1.0), (float("nan"), 0.0)])
def test_an_impossible_timing_cannot_be_built(values: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="expected a shift above 0"):
        FrameTiming(*values)


def test_the_timing_of_an_upstream_is_read_as_it_was_written(tmp_path: Path) -> None:
    timing = timing_of(KaldiMFCC(frame_length_ms=32.0))
    assert timing == FrameTiming(0.01, 0.016)
    write_timing(tmp_path / "timing.json", timing)
    assert read_timing(tmp_path / "timing.json") == timing


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"frame_shift_s": 0, "first_centre_s": 0}'])
def test_a_damaged_timing_is_an_error_that_names_the_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "timing.json"
    path.write_text(content, "utf-8")
    with pytest.raises(ValueError, match=r"timing\.json: no frame_shift_s and first_centre_s"):
        read_timing(path)


@dataclass
class Other:
    sample_rate: int = 16000
    frame_shift_samples: int = 160
    first_centre_s: float = 0.0125


def test_two_upstreams_with_frames_at_other_times_do_not_go_together() -> None:
    check_same_frames(Other(first_centre_s=0.016), KaldiMFCC(), option="x")  # type: ignore
    for other in (Other(8000), Other(frame_shift_samples=320), Other(first_centre_s=0.02)):
        with pytest.raises(ValueError, match=r"features\.other reads .* frame_shift_ms=10"):
            check_same_frames(other, KaldiFbank(), option="features.other")  # type: ignore
