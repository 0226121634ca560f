import numpy as np
import pytest

from gan.frames import SplicedFrames

BOUNDARIES = np.array([0, 9, 10, 14], dtype=np.int32)
FRAMES = np.arange(14, dtype=np.float32)[:, None] * [1, 100]  # frame t is (t, 100 t)


def test_one_frame_is_the_middle_of_its_segment_beside_its_neighbours() -> None:
    rows = SplicedFrames(context=1).rows(FRAMES, BOUNDARIES, count=1)
    assert rows.dtype == np.float32
    assert rows[:, ::2].tolist() == [[3, 4, 5], [8, 9, 10], [11, 12, 13]]
    assert rows[:, 1::2].tolist() == (100 * rows[:, ::2]).tolist()


def test_several_frames_are_spread_over_the_middle_and_in_order() -> None:
    rows = SplicedFrames(context=0).rows(FRAMES, BOUNDARIES, count=3)
    assert rows[:, ::2].tolist() == [[2, 4, 6], [9, 9, 9], [11, 12, 12]]
    whole = SplicedFrames(context=0, share=1.0).rows(FRAMES, BOUNDARIES, count=3)
    assert whole[0, ::2].tolist() == [0, 4, 8]


def test_ends_of_the_utterance_are_repeated() -> None:
    rows = SplicedFrames(context=6).rows(FRAMES, BOUNDARIES, count=1)
    assert rows[0, ::2].tolist() == [0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert rows[2, -2] == 13


def test_bad_options_and_boundaries_of_other_features_are_named() -> None:
    with pytest.raises(ValueError, match="context is -1; expected at least 0"):
        SplicedFrames(context=-1)
    with pytest.raises(ValueError, match=r"share is 0.0; expected above 0, at most 1"):
        SplicedFrames(share=0.0)
    with pytest.raises(ValueError, match=r"boundaries from 0 to 14 for 13 frames; expected 0 to"):
        SplicedFrames().rows(FRAMES[:13], BOUNDARIES, count=1)
