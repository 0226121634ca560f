"""Skip-bigram matching: a cluster-to-phone table found without labels, in seconds.

If segment clusters were phones written in cipher, the joint counts of clusters k segments apart
would equal those of phones k places apart in text, once the cipher Q is undone:

    Q^T N_k Q  =  T_k      for every lag k = 1..L

N_k (K x K) and T_k (V x V) are computed once, so the cost does not depend on the hours of audio.
All restarts are solved side by side in one batch of matrices, from *small* random weights (large
ones fall into poor minima), and the restart with the lowest loss is taken: no label is needed.

Axes: R restarts, L lags, K clusters, V phones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unsup_asr.types import Float32Array, Int32Array


@dataclass(frozen=True)
class Matching:
    """The chosen table, rows summing to 1, and what the other restarts reached."""

    table_KV: Float32Array
    tables_RKV: Float32Array
    losses_R: list[float]
    chosen: int
    curves_RI: list[list[float]]  # loss of each restart, every few iterations


@dataclass(frozen=True, kw_only=True)
class SkipBigramMatching:
    """Options of the search; the defaults were chosen on the synthetic development voices."""

    num_lags: int = 8
    restarts: int = 6
    iterations: int = 800
    learning_rate: float = 0.1
    init_scale: float = 0.03
    kernel_start: float = 1.0  # of smoothing over clusters, in nearest-neighbour distances
    kernel_end: float = 0.4
    anneal_fraction: float = 0.7
    decay_fraction: float = 0.6  # the learning rate falls linearly to 0 after this part
    seed: int = 0

    def match(
        self,
        clusters: Sequence[Int32Array],
        centroids_KD: Float32Array,
        text: Sequence[Int32Array],
        *,
        num_phones: int,
        device: str = "cpu",
        progress: Callable[[], None] = lambda: None,
    ) -> Matching:
        """Find the table that turns cluster statistics into text statistics.

        `clusters` are segment cluster ids of each utterance, `text` phone ids of each sentence.
        """
        num_clusters = len(centroids_KD)
        speech_LKK = _as_tensor(
            skip_bigrams(clusters, num_clusters, num_lags=self.num_lags), device
        )
        text_LVV = _as_tensor(skip_bigrams(text, num_phones, num_lags=self.num_lags), device)
        distances_KK = _squared_distances(_as_tensor(centroids_KD, device))
        generator = torch.Generator().manual_seed(self.seed)
        weights_RKV = torch.randn(self.restarts, num_clusters, num_phones, generator=generator)
        weights_RKV = (weights_RKV * self.init_scale).to(device).requires_grad_()
        optimizer = torch.optim.Adam([weights_RKV], lr=self.learning_rate, betas=(0.9, 0.98))
        curves: list[list[float]] = [[] for _ in range(self.restarts)]
        for iteration in range(self.iterations):
            done = iteration / self.iterations
            optimizer.param_groups[0]["lr"] = self.learning_rate * min(
                1.0, (1.0 - done) / (1.0 - self.decay_fraction)
            )
            smoothing_KK = similarity_kernel(distances_KK, self._kernel_width(done))
            tables_RKV = torch.softmax(smoothing_KK @ weights_RKV, dim=-1)
            losses_R = statistics_distance(tables_RKV, speech_LKK, text_LVV)
            optimizer.zero_grad(set_to_none=True)
            losses_R.sum().backward()
            optimizer.step()
            if iteration % 20 == 0 or iteration == self.iterations - 1:
                for curve, loss in zip(curves, losses_R.tolist(), strict=True):
                    curve.append(loss)
            progress()
        with torch.no_grad():
            smoothing_KK = similarity_kernel(distances_KK, self.kernel_end)
            tables_RKV = torch.softmax(smoothing_KK @ weights_RKV, dim=-1)
            losses = statistics_distance(tables_RKV, speech_LKK, text_LVV).tolist()
        chosen = int(np.argmin(losses))
        tables = tables_RKV.cpu().numpy()
        return Matching(tables[chosen], tables, losses, chosen, curves)

    def _kernel_width(self, done: float) -> float:
        part = min(1.0, done / self.anneal_fraction)
        return self.kernel_start + (self.kernel_end - self.kernel_start) * part


def skip_bigrams(
    sequences: Sequence[Int32Array], num_symbols: int, *, num_lags: int
) -> Float32Array:
    """Joint relative frequencies of symbols k places apart, k = 1..num_lags: (L, num_symbols^2).

    Each lag sums to 1. Raises ValueError when no sequence is longer than `num_lags`.
    """
    counts = np.zeros((num_lags, num_symbols * num_symbols))
    for lag in range(1, num_lags + 1):
        pairs = [
            s[:-lag].astype(np.int64) * num_symbols + s[lag:] for s in sequences if len(s) > lag
        ]
        if not pairs:
            raise ValueError(
                f"no sequence is longer than {lag} symbols, so there are no pairs at lag {lag} "
                "to match; give longer utterances or sentences, or lower num_lags"
            )
        counts[lag - 1] = np.bincount(np.concatenate(pairs), minlength=num_symbols * num_symbols)
    counts /= counts.sum(axis=1, keepdims=True)
    return counts.reshape(num_lags, num_symbols, num_symbols).astype(np.float32)


def statistics_distance(tables_RKV: Tensor, speech_LKK: Tensor, text_LVV: Tensor) -> Tensor:
    """Sum over lags of || Q^T N_k Q - T_k ||_1, one value a restart (R,)."""
    restarts, num_clusters, num_phones = tables_RKV.shape
    num_lags = len(speech_LKK)
    wide = tables_RKV.permute(1, 0, 2).reshape(num_clusters, restarts * num_phones)
    right = (speech_LKK.reshape(num_lags * num_clusters, num_clusters) @ wide).reshape(
        num_lags, num_clusters, restarts, num_phones
    )
    right = right.permute(2, 1, 0, 3).reshape(restarts, num_clusters, num_lags * num_phones)
    joint = torch.bmm(tables_RKV.transpose(1, 2), right)  # (R, V, L V)
    target = text_LVV.permute(1, 0, 2).reshape(num_phones, num_lags * num_phones)
    return (joint - target).abs().sum(dim=(1, 2))


def similarity_kernel(squared_distances_KK: Tensor, width: float) -> Tensor:
    """exp(-d^2 / (2 width^2 s)), rows normalised; s: mean squared nearest-neighbour distance."""
    away = squared_distances_KK + torch.diag(
        torch.full((len(squared_distances_KK),), torch.inf)
    ).to(squared_distances_KK)
    scale = away.min(dim=1).values.mean()
    kernel = torch.exp(-squared_distances_KK / (2 * width**2 * scale))
    return kernel / kernel.sum(dim=1, keepdim=True)


def _squared_distances(points_KD: Tensor) -> Tensor:
    return torch.cdist(points_KD, points_KD).square()


def _as_tensor(array: np.ndarray, device: str) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).to(device)
