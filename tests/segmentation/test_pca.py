from pathlib import Path

import numpy as np
import pytest

from segmentation.pca import PCA


def rows() -> np.ndarray:
    generator = np.random.default_rng(0)
    return (generator.normal(size=(2000, 4)) * [5, 3, 1, 0.1] + 7).astype(np.float32)


def test_components_keep_the_largest_variances_unwhitened_and_centred() -> None:
    pca = PCA(num_components=2)
    pca.fit(rows())
    projected = pca.apply(rows())
    np.testing.assert_allclose(projected.std(axis=0), [5, 3], rtol=0.05)
    np.testing.assert_allclose(projected.mean(axis=0), 0, atol=1e-3)


def test_all_components_preserve_distances() -> None:
    pca = PCA(num_components=4)
    pca.fit(rows())
    before, after = rows()[:2], pca.apply(rows()[:2])
    distances = [np.linalg.norm(x[0] - x[1]) for x in (before, after)]
    assert distances[0] == pytest.approx(distances[1], rel=1e-4)


def test_saved_projection_applies_alike(tmp_path: Path) -> None:
    pca = PCA(num_components=2)
    pca.fit(rows())
    pca.save(tmp_path)
    loaded = PCA(num_components=2)
    loaded.load(tmp_path)
    np.testing.assert_array_equal(loaded.apply(rows()), pca.apply(rows()))


def test_bad_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2000 rows of 4 dims for 512 components"):
        PCA().fit(rows())
    with pytest.raises(ValueError, match="call fit or load first"):
        PCA().apply(rows())
    with pytest.raises(ValueError, match="call fit or load first"):
        PCA().save(tmp_path)
    with pytest.raises(ValueError, match="does not exist"):
        PCA().load(tmp_path)
    pca = PCA(num_components=2)
    pca.fit(rows())
    pca.save(tmp_path)
    with pytest.raises(ValueError, match=r"shape \(4, 2\)"):
        PCA(num_components=3).load(tmp_path)
    with pytest.raises(ValueError, match="NaN"):
        pca.apply(np.full((2, 4), np.nan, np.float32))
