from pathlib import Path

import faiss
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


def test_the_projection_is_that_of_faiss_up_to_signs() -> None:
    """faiss.PCAMatrix is what wav2vec-U uses."""
    matrix = faiss.PCAMatrix(4, 3, 0.0)
    matrix.train(rows())
    pca = PCA(num_components=3)
    pca.fit(rows())
    theirs, ours = matrix.apply(rows()), pca.apply(rows())
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=2e-3)


def test_a_stream_of_half_precision_blocks_far_from_zero_gives_what_all_rows_give() -> None:
    """The mean is 2000 times the smallest deviation: a plain sum of squares would lose it."""
    far = (rows() * 0.01 + 2).astype(np.float16)
    whole, streamed = PCA(num_components=4), PCA(num_components=4)
    whole.fit(far.astype(np.float32))
    streamed.fit_blocks(iter(np.array_split(far, 7)))
    np.testing.assert_allclose(streamed.apply(far), whole.apply(far), atol=1e-4)
    covariance = np.cov(streamed.apply(far).T, bias=True)
    values = np.linalg.eigvalsh(np.cov(far.astype(np.float64).T, bias=True))[::-1]
    np.testing.assert_allclose(np.diag(covariance), values, rtol=1e-3)
