import itertools

import numpy as np
import pytest

from segmentation.pooling import (
    AdjacentPairs,
    MiddlePooling,
    mean_pool,
    mean_pool_adjacent,
    mean_pool_middle,
)

BOUNDARIES = np.array([0, 3, 4, 10], dtype=np.int32)
FEATURES = np.random.default_rng(0).normal(size=(10, 5)).astype(np.float32)


def test_mean_pool_is_the_mean_of_each_segment() -> None:
    expected = [FEATURES[0:3].mean(0), FEATURES[3:4].mean(0), FEATURES[4:10].mean(0)]
    np.testing.assert_allclose(mean_pool(FEATURES, BOUNDARIES), expected, rtol=1e-5, atol=1e-6)


def test_the_middle_half_leaves_out_a_quarter_at_each_end_and_never_everything() -> None:
    pooled = mean_pool_middle(FEATURES, BOUNDARIES, share=0.5)
    expected = [FEATURES[0:3].mean(0), FEATURES[3:4].mean(0), FEATURES[5:9].mean(0)]
    np.testing.assert_allclose(pooled, expected, rtol=1e-5, atol=1e-6)


def test_the_middle_share_of_a_long_segment_is_exact() -> None:
    rows = np.arange(16, dtype=np.float32)[:, None]
    whole = np.array([0, 16], dtype=np.int32)
    for share, expected in ((0.5, rows[4:12]), (0.25, rows[6:10])):
        pooled = mean_pool_middle(rows**2, whole, share=share)
        np.testing.assert_allclose(pooled[0], (expected**2).mean(0), rtol=1e-5)


def test_the_middle_of_share_one_is_the_whole_mean() -> None:
    whole = mean_pool_middle(FEATURES, BOUNDARIES, share=1.0)
    np.testing.assert_array_equal(whole, mean_pool(FEATURES, BOUNDARIES))


def test_adjacent_pooling_duplicates_the_last_row_of_an_odd_length() -> None:
    rows = np.array([[0.0], [2.0], [4.0], [6.0], [9.0]], dtype=np.float32)
    assert mean_pool_adjacent(rows).tolist() == [[1.0], [5.0], [9.0]]
    assert mean_pool_adjacent(rows[:4]).tolist() == [[1.0], [5.0]]


def test_boundaries_that_do_not_tile_the_frames_are_refused() -> None:
    for wrong in ([0, 3, 11], [1, 10], [0, 3, 3, 10], [0]):
        with pytest.raises(ValueError, match="do not tile 10 frames"):
            mean_pool(FEATURES, np.array(wrong, dtype=np.int32))


def test_impossible_shares_and_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="share is 0"):
        mean_pool_middle(FEATURES, BOUNDARIES, share=0.0)
    with pytest.raises(ValueError, match="rate is 2"):
        mean_pool_adjacent(FEATURES, rate=2.0)
    with pytest.raises(ValueError, match="no rows"):
        mean_pool_adjacent(FEATURES[:0])


def test_the_pooling_of_a_recipe_is_the_middle_mean_of_its_share() -> None:
    pooled = MiddlePooling(share=0.2).pool(FEATURES, BOUNDARIES)
    np.testing.assert_array_equal(pooled, mean_pool_middle(FEATURES, BOUNDARIES, share=0.2))
    assert not np.allclose(pooled, mean_pool_middle(FEATURES, BOUNDARIES, share=1.0))


@pytest.mark.parametrize("num_segments", [1, 2, 5, 6])
def test_pairs_of_segments_have_boundaries_and_rows_that_agree(num_segments: int) -> None:
    edges = np.arange(num_segments + 1, dtype=np.int32) * 3
    rows = np.arange(num_segments, dtype=np.float32)[:, None]
    joined, pooled = AdjacentPairs().boundaries(edges), AdjacentPairs().pool(rows)
    assert len(joined) == len(pooled) + 1
    assert joined[0] == 0
    assert joined[-1] == edges[-1]
    for (start, end), value in zip(itertools.pairwise(joined // 3), pooled[:, 0], strict=True):
        assert value == rows[start:end].mean()
