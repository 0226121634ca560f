"""Evidence of segments: the highest posterior of each phone, the blank left out."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch

from unsup_asr.acoustic.network import AcousticNetwork, NetworkShape, save_network
from unsup_asr.acoustic.posteriors import log_posteriors
from unsup_asr.steps.evidence import segment_evidence


def test_evidence_is_the_highest_posterior_over_each_segment(tmp_path) -> None:
    shape = NetworkShape(input_dim=4, num_outputs=6, hidden=8, kernel=3, stack=2)
    network = AcousticNetwork(shape, torch.Generator().manual_seed(0)).eval()
    save_network(network, tmp_path)
    features = {
        name: np.random.default_rng(i).normal(size=(n, 4)).astype(np.float32)
        for i, (name, n) in enumerate((("a", 11), ("b", 6)))
    }
    edges = {"a": np.array([0, 3, 4, 11]), "b": np.array([0, 6])}
    made = SimpleNamespace(file=lambda name: tmp_path / name)
    found = segment_evidence(made, features, edges, num_phones=5, out=tmp_path / "out")  # type: ignore[arg-type]
    heard = {i: np.exp(p)[:, 1:] for i, p in log_posteriors(network, features).items()}
    assert {i: x.shape for i, x in found.items()} == {"a": (3, 5), "b": (1, 5)}
    # outputs of two frames each: frames 0 to 2 are in 0 and 1, frame 3 in 1, 4 to 10 in 2 to 5
    for segment, outputs in enumerate(([0, 1], [1], [2, 3, 4, 5])):
        np.testing.assert_allclose(found["a"][segment], heard["a"][outputs].max(axis=0), rtol=1e-5)
    assert isinstance(found.values_array, np.memmap)  # no memory that grows with the hours
    np.testing.assert_allclose(found["b"][0], heard["b"].max(axis=0), rtol=1e-5)
