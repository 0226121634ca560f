import numpy as np
import pytest

from segmentation.curves import peak_strength, peaks, spectral_change, threshold_for_rate


def test_the_change_between_two_constant_stretches_is_their_distance_at_the_edge() -> None:
    frames = np.repeat(np.array([[0.0, 0.0], [3.0, 4.0]], dtype=np.float32), [6, 4], axis=0)
    change = spectral_change(frames, window_frames=2)
    assert change.shape == (11,)
    assert change[6] == pytest.approx(5.0)
    assert int(change.argmax()) == 6
    assert change[[0, 3, 10]].tolist() == [0, 0, 0]


def test_each_window_is_averaged_before_the_distance() -> None:
    frames = np.array([[0.0], [1.0], [2.0], [3.0], [10.0]], dtype=np.float32)
    np.testing.assert_allclose(
        spectral_change(frames, window_frames=2), [0, 1.5, 2, 5, 7.5, 0], atol=1e-6
    )


def test_only_the_largest_within_the_radius_is_a_peak_and_a_plateau_counts_once() -> None:
    curve = np.array([9, 0, 1, 3, 2, 0, 0, 5, 5, 0, 4, 9], dtype=np.float32)
    assert peaks(curve, radius_frames=1).tolist() == [3, 7]
    assert peaks(curve, radius_frames=4).tolist() == []
    inner = np.array([0, 0, 1, 3, 2, 0, 0, 5, 5, 0, 4, 0], dtype=np.float32)
    assert peaks(inner, radius_frames=1).tolist() == [3, 7, 10]
    assert peaks(inner, radius_frames=3).tolist() == [3, 7]


def test_a_flat_curve_has_no_peak() -> None:
    assert len(peaks(np.zeros(20, np.float32), radius_frames=2)) == 0


def test_prominence_is_the_height_over_the_higher_valley() -> None:
    curve = np.array([0, 4, 3, 5, 0], dtype=np.float32)
    edges = np.array([1, 3])
    assert peak_strength(curve, edges, by="height").tolist() == [4, 5]
    assert peak_strength(curve, edges, by="prominence").tolist() == [1, 5]


def test_the_threshold_leaves_the_expected_number_of_peaks() -> None:
    strengths = [np.array([1.0, 5.0]), np.array([3.0, 2.0, 4.0])]
    assert threshold_for_rate(strengths, num_frames=30, frames_per_boundary=10) == 3.0
    assert threshold_for_rate(strengths, num_frames=900, frames_per_boundary=10) == 1.0


def test_audio_without_any_peak_is_an_error() -> None:
    with pytest.raises(ValueError, match="0 peaks in 50 frames"):
        threshold_for_rate([], num_frames=50, frames_per_boundary=10)
