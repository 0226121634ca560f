from pathlib import Path

import numpy as np
import pytest

from segmentation.kmeans import KMeans


def blobs(num_rows: int = 300) -> np.ndarray:
    generator = np.random.default_rng(0)
    centres = np.array([[0, 0, 0], [10, 0, 0], [0, 10, 0]])
    rows = centres[np.arange(num_rows) % 3] + generator.normal(0, 0.1, (num_rows, 3))
    return rows.astype(np.float32)


def test_separate_blobs_get_one_cluster_each() -> None:
    kmeans = KMeans(num_clusters=3, niter=10)
    kmeans.fit(blobs())
    labels = kmeans.assign(blobs())
    assert [len(set(labels[i::3])) for i in range(3)] == [1, 1, 1]
    assert len(set(labels)) == 3


def test_the_same_seed_gives_the_same_centroids_and_another_seed_others() -> None:
    rows = np.random.default_rng(1).normal(size=(500, 4)).astype(np.float32)
    fits = []
    for seed in (0, 0, 1):
        kmeans = KMeans(num_clusters=20, niter=3, nredo=1, seed=seed)
        kmeans.fit(rows)
        fits.append(kmeans.fitted_centroids())
    np.testing.assert_array_equal(fits[0], fits[1])
    assert not np.array_equal(fits[0], fits[2])


def test_saved_centroids_assign_alike(tmp_path: Path) -> None:
    kmeans = KMeans(num_clusters=3)
    kmeans.fit(blobs())
    kmeans.save(tmp_path)
    loaded = KMeans(num_clusters=3)
    loaded.load(tmp_path)
    np.testing.assert_array_equal(loaded.assign(blobs()), kmeans.assign(blobs()))


def test_a_wrong_number_of_saved_clusters_or_no_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        KMeans().load(tmp_path)
    kmeans = KMeans(num_clusters=3)
    kmeans.fit(blobs())
    kmeans.save(tmp_path)
    with pytest.raises(ValueError, match=r"shape \(3, 3\); expected \(128, dim\)"):
        KMeans(num_clusters=128).load(tmp_path)


def test_nan_features_are_named_by_row() -> None:
    rows = blobs()
    rows[7, 1] = np.nan
    with pytest.raises(ValueError, match=r"1 of 300 rows hold NaN .*first: row 7"):
        KMeans(num_clusters=3).fit(rows)


def test_fewer_rows_than_clusters_is_an_error() -> None:
    with pytest.raises(ValueError, match="30 rows for 128 clusters"):
        KMeans().fit(blobs(30))


def test_other_dims_than_in_training_and_use_before_fit_are_errors() -> None:
    kmeans = KMeans(num_clusters=3)
    with pytest.raises(ValueError, match="call fit or load first"):
        kmeans.assign(blobs())
    kmeans.fit(blobs())
    with pytest.raises(ValueError, match="2 dims; expected 3"):
        kmeans.assign(blobs()[:, :2])
    with pytest.raises(ValueError, match="at least one row"):
        kmeans.assign(blobs()[:0])


def test_a_memory_map_is_sampled_and_assigned_like_rows_in_memory(tmp_path: Path) -> None:
    """More rows than one block holds, as float16, of which no row is a mean of two blobs."""
    rows = blobs(150_000).astype(np.float16)
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    kmeans = KMeans(num_clusters=3, nredo=5, max_points_per_centroid=50)
    kmeans.fit(mapped)
    centres = kmeans.fitted_centroids()
    distances = np.linalg.norm(
        centres[:, None] - np.array([[0, 0, 0], [10, 0, 0], [0, 10, 0]]), axis=2
    )
    assert (distances.min(axis=0) < 0.1).all()
    labels = kmeans.assign(mapped)
    assert labels.shape == (150_000,)
    assert [len(set(labels[i::3])) for i in range(3)] == [1, 1, 1]


def test_a_sample_is_spread_over_all_rows() -> None:
    """Rows sorted by blob: the first ones alone would be of one blob."""
    rows = np.sort(blobs(9000).sum(axis=1))[:, None].repeat(2, axis=1)
    kmeans = KMeans(num_clusters=2, max_points_per_centroid=100, seed=3)
    kmeans.fit(rows)
    assert sorted(kmeans.fitted_centroids()[:, 0].round()) == [0, 10]
