"""What is left of pauses that were cut."""

import numpy as np

from unsup_asr.speech.pauses import beside_cuts


def test_frames_on_both_sides_of_a_cut_are_what_is_left_of_a_pause() -> None:
    kept_K = np.array([0, 1, 2, 3, 20, 21, 22, 23, 24], dtype=np.int32)
    assert np.flatnonzero(beside_cuts(kept_K, 4)).tolist() == [2, 3, 4, 5]
    assert np.flatnonzero(beside_cuts(kept_K, 3)).tolist() == [2, 3, 4]
    assert not beside_cuts(kept_K, 0).any()
    assert not beside_cuts(np.arange(5, dtype=np.int32), 4).any()


def test_a_cut_near_an_end_takes_no_more_than_there_is() -> None:
    kept_K = np.array([0, 9, 10, 30], dtype=np.int32)
    assert beside_cuts(kept_K, 4).tolist() == [True, True, True, True]
    assert beside_cuts(np.array([0, 9, 10, 11, 12], dtype=np.int32), 4).sum() == 3
