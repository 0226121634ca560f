import numpy as np
import pytest
import torch

from gan.generator import Generator, GeneratorShape
from gan.infer import TrainedGenerator
from gan.start import MatchedStart, OneHotClusters

RNG = np.random.default_rng(0)
FEATURES = (3 + 5 * RNG.standard_normal((50, 4))).astype(np.float32)
TABLE = RNG.dirichlet(np.ones(6), size=8).astype(np.float32)
CLUSTERS = RNG.integers(8, size=50).astype(np.int32)


def test_a_generator_that_starts_from_matching_repeats_its_posteriors() -> None:
    matched_input = MatchedStart().fit(FEATURES, TABLE)
    with torch.random.fork_rng():
        generator = Generator(GeneratorShape(input_dim=10, num_phones=6))
    generator.start_from_map(matched_input.first_map)
    found = TrainedGenerator(generator).posteriors(matched_input.rows(FEATURES, CLUSTERS))
    np.testing.assert_allclose(found, TABLE[CLUSTERS], atol=1e-3)


def test_features_are_standardised_by_one_scale() -> None:
    rows = MatchedStart().fit(FEATURES, TABLE).rows(FEATURES, CLUSTERS)
    np.testing.assert_allclose(rows[:, :4].mean(0), 0.0, atol=1e-5)
    ratio = rows[:, :4].std(0) / FEATURES.std(0)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)


def test_clusters_of_other_segments_are_refused() -> None:
    with pytest.raises(ValueError, match="50 segments have features and 49 have clusters"):
        MatchedStart().fit(FEATURES, TABLE).rows(FEATURES, CLUSTERS[1:])


def test_clusters_alone_are_one_hot_and_start_at_random() -> None:
    layout = OneHotClusters().fit(FEATURES, TABLE)
    rows = layout.rows(FEATURES, CLUSTERS)
    assert rows.shape == (50, 8)
    assert rows.argmax(1).tolist() == CLUSTERS.tolist()
    assert (rows.sum(1) == 1).all()
    assert layout.first_map is None
