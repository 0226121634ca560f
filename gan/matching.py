"""Skip-bigram matching: a cluster-to-phone table found without labels, in seconds.

If segment clusters were phones written in cipher, the joint counts of clusters k segments apart
would equal those of phones k places apart in text, once the cipher Q is undone:

    Q^T N_k Q  =  T_k      for every lag k = 1..L

and the counts of clusters at the first and last places of utterances those of phones at the first
and last places of sentences (the positional unigrams of Wang et al. 2024, from both ends):

    Q^T n_i  =  t_i        for every place i = 1..P from the beginning, and from the end

N_k (K x K), T_k (V x V), n_i and t_i are computed once, so the cost does not depend on the hours of
audio. All restarts are solved side by side in one batch of matrices. From small random weights they
all fall into one basin, which is the true one for some languages and a spurious one for others;
from larger ones some find the true one, and their loss tells, without a label. So restarts begin
unalike, in scale and in smoothing; the best go on, their learning rate raised again in every cycle,
and the lowest loss is taken.

Axes: R restarts, L lags, P places from either end, K clusters, V phones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from unsup_asr import compute
from unsup_asr.ranges import (
    Fraction,
    NonNegative,
    NonNegatives,
    Positive,
    PositiveInt,
    Positives,
    Seed,
)
from unsup_asr.types import Float32Array, Int32Array


@dataclass(frozen=True)
class Matching:
    """The chosen table, rows summing to 1, and what the finalists among the restarts reached."""

    table_KV: Float32Array
    tables_RKV: Float32Array
    losses_R: list[float]
    chosen: int
    curves_RI: list[list[float]]  # loss of each finalist, every few iterations from its start


@dataclass(frozen=True, kw_only=True)
class SkipBigramMatching:
    """Options of the search; the defaults were chosen on synthetic development voices.

    Restart r draws its weights with `init_scales[r % n]` and smooths over clusters with
    `kernel_starts[r // n % m]` at first, of n scales and m kernels; all end at `kernel_end`. After
    `iterations` the best `finalists` go on under that last kernel, `final_cycles` times
    `final_iterations`. The positional unigrams of `num_places` from either end weigh
    `search_place_weight` while restarts search and `place_weight` in the final cycles: heavy, they
    lead to the right basin, but they are counted on little, and fit worse than pairs do.
    """

    num_lags: PositiveInt = 6
    num_places: PositiveInt = 6
    search_place_weight: NonNegative = 0.0
    place_weight: NonNegative = 0.0
    restarts: PositiveInt = 18
    iterations: PositiveInt = 250
    finalists: PositiveInt = 4
    final_iterations: PositiveInt = 200
    final_cycles: PositiveInt = 3
    learning_rate: Positive = 0.1
    init_scales: Positives = field(default_factory=lambda: [0.1, 0.3, 1.0])
    kernel_starts: NonNegatives = field(default_factory=lambda: [0.6, 0.8])
    kernel_end: NonNegative = 0.6  # of smoothing over clusters, in nearest-neighbour distances
    anneal_fraction: Fraction = 0.7
    decay_fraction: Fraction = 0.6  # the learning rate falls linearly to 0 after this part
    seed: Seed = 0

    def __post_init__(self) -> None:
        if not 1 <= self.finalists <= self.restarts:
            raise ValueError(
                f"finalists is {self.finalists} of {self.restarts} restarts; expected 1 to restarts"
            )
        if not self.init_scales or not self.kernel_starts:
            raise ValueError(
                "init_scales and kernel_starts need at least one value each; found "
                f"{self.init_scales} and {self.kernel_starts}"
            )

    @property
    def num_steps(self) -> int:
        """Iterations of the search, the finalists' included."""
        return self.iterations + self.final_cycles * self.final_iterations

    def match(
        self,
        clusters: Sequence[Int32Array],
        centroids_KD: Float32Array,
        text: Sequence[Int32Array],
        *,
        num_phones: int,
        progress: Callable[[], None] = lambda: None,
    ) -> Matching:
        """Find the table that turns cluster statistics into text statistics.

        `clusters` are segment cluster ids of each utterance, `text` phone ids of each sentence.
        """
        with compute.exact_products():
            return self._match(clusters, centroids_KD, text, num_phones, progress)

    def _match(
        self,
        clusters: Sequence[Int32Array],
        centroids_KD: Float32Array,
        text: Sequence[Int32Array],
        num_phones: int,
        progress: Callable[[], None],
    ) -> Matching:
        num_clusters = len(centroids_KD)
        search = _Search(
            self,
            self._statistics(clusters, num_clusters),
            self._statistics(text, num_phones),
            _squared_distances(on_device(centroids_KD)),
            self.search_place_weight,
        )
        generator = torch.Generator().manual_seed(self.seed)
        weights_RKV = torch.randn(self.restarts, num_clusters, num_phones, generator=generator)
        scales_R = [self.init_scales[r % len(self.init_scales)] for r in range(self.restarts)]
        kernels_R = [
            self.kernel_starts[r // len(self.init_scales) % len(self.kernel_starts)]
            for r in range(self.restarts)
        ]
        weights_RKV = (weights_RKV * torch.tensor(scales_R)[:, None, None]).to(compute.device())
        weights_RKV, curves = search.run(weights_RKV, kernels_R, self.iterations, progress)
        best = search.losses(weights_RKV)[1].argsort()[: self.finalists].tolist()
        weights_RKV, curves = weights_RKV[torch.tensor(best)], [curves[r] for r in best]
        search = replace(search, place_weight=self.place_weight)
        for _ in range(self.final_cycles):
            weights_RKV, cycle = search.run(
                weights_RKV, [self.kernel_end] * len(best), self.final_iterations, progress
            )
            curves = [curve + more for curve, more in zip(curves, cycle, strict=True)]
        tables_RKV, losses_R = search.losses(weights_RKV)
        chosen = int(losses_R.argmin())
        tables = tables_RKV.cpu().numpy()
        return Matching(
            tables[chosen],
            tables,
            losses_R.tolist(),
            chosen,
            curves,
        )

    def _statistics(self, sequences: Sequence[Int32Array], num_symbols: int) -> _Statistics:
        num_places = self.num_places if self.search_place_weight or self.place_weight else 0
        return _Statistics(
            on_device(skip_bigrams(sequences, num_symbols, num_lags=self.num_lags)),
            on_device(place_unigrams(sequences, num_symbols, num_places=num_places)),
        )


@dataclass(frozen=True)
class _Statistics:
    """What is counted of speech, or of text."""

    pairs_LNN: Tensor
    places_PN: Tensor  # P: num_places from the beginning, then as many from the end; 0: no weight


@dataclass(frozen=True)
class _Search:
    """Gradient descent on the tables' weights, all restarts in one batch."""

    options: SkipBigramMatching
    speech: _Statistics
    text: _Statistics
    distances_KK: Tensor
    place_weight: float

    def run(
        self,
        weights_RKV: Tensor,
        kernels_R: Sequence[float],
        iterations: int,
        progress: Callable[[], None],
    ) -> tuple[Tensor, list[list[float]]]:
        """Weights after so many iterations, and the losses on the way."""
        options = self.options
        weights_RKV = weights_RKV.clone().requires_grad_()
        optimizer = torch.optim.Adam([weights_RKV], lr=options.learning_rate, betas=(0.9, 0.98))
        curves: list[list[float]] = [[] for _ in kernels_R]
        for iteration in range(iterations):
            done = iteration / iterations
            optimizer.param_groups[0]["lr"] = options.learning_rate * min(
                1.0, (1.0 - done) / (1.0 - options.decay_fraction)
            )
            part = min(1.0, done / options.anneal_fraction)
            widths_R = [start + (options.kernel_end - start) * part for start in kernels_R]
            losses_R = self._distance(self._tables(weights_RKV, widths_R))
            optimizer.zero_grad(set_to_none=True)
            losses_R.sum().backward()
            optimizer.step()
            if iteration % 20 == 0 or iteration == iterations - 1:
                for curve, loss in zip(curves, losses_R.tolist(), strict=True):
                    curve.append(loss)
            progress()
        return weights_RKV.detach(), curves

    @torch.no_grad()
    def losses(self, weights_RKV: Tensor) -> tuple[Tensor, Tensor]:
        """Tables under the last kernel, and the loss of each."""
        tables_RKV = self._tables(weights_RKV, [self.options.kernel_end] * len(weights_RKV))
        return tables_RKV, self._distance(tables_RKV)

    def _distance(self, tables_RKV: Tensor) -> Tensor:
        pairs_R = statistics_distance(tables_RKV, self.speech.pairs_LNN, self.text.pairs_LNN)
        if not self.place_weight:
            return pairs_R
        places_RPV = self.speech.places_PN @ tables_RKV
        return pairs_R + self.place_weight * (places_RPV - self.text.places_PN).abs().sum((1, 2))

    def _tables(self, weights_RKV: Tensor, widths_R: Sequence[float]) -> Tensor:
        """softmax(kernel W) of each restart; kernels of one width are computed once."""
        kernels = {w: similarity_kernel(self.distances_KK, w) for w in set(widths_R)}
        smoothed = [kernels[w] @ x_KV for w, x_KV in zip(widths_R, weights_RKV, strict=True)]
        return torch.softmax(torch.stack(smoothed), dim=-1)


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


def place_unigrams(
    sequences: Sequence[Int32Array], num_symbols: int, *, num_places: int
) -> Float32Array:
    """Relative frequencies of symbols at each place from the beginning, then from the end.

    (2 num_places, num_symbols), each row of the sequences that are long enough, summing to 1.
    Raises ValueError where none is.
    """
    counts = np.zeros((2, num_places, num_symbols))
    for end, direction in enumerate((1, -1)):
        for place in range(num_places):
            symbols = [s[::direction][place] for s in sequences if len(s) > place]
            if not symbols:
                raise ValueError(
                    f"no sequence has more than {place} symbols, so place {place + 1} cannot be "
                    "matched; give longer utterances or sentences, or lower num_places"
                )
            counts[end, place] = np.bincount(symbols, minlength=num_symbols)
    counts /= counts.sum(axis=-1, keepdims=True)
    return counts.reshape(2 * num_places, num_symbols).astype(np.float32)


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


def on_device(array: np.ndarray) -> Tensor:
    """The same numbers in float32, where this process computes."""
    return compute.moved(torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)))


def _squared_distances(points_KD: Tensor) -> Tensor:
    return torch.cdist(points_KD, points_KD).square()
