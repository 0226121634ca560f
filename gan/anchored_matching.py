"""Matching from evidence: a table heard by a network, moved a little way towards the text.

A network that knows the phones badly (one that has heard nothing but synthetic speech) still says
more about a cluster than nothing, once it has heard all of the cluster's segments:

    A[k, v] = sum over segments s of cluster k of  max over frames t of s of p(v | t)

scaled to the phones' frequencies in text, each row summing to 1. From there a few steps of the
skip-bigram loss (gan.matching) correct what network and synthesizer hear alike wrongly, under

    anchor * sum over k of  p(k) KL(A[k] || Q[k])

for the loss alone prefers other tables to the true one: without the anchor, or with many steps, it
leaves the phones for language. Matching from nothing and evidence alone each fail on recordings
where both together do not (docs/results.md).

Axes: S segments of an utterance, L lags, K clusters, V phones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from gan.matching import Matching, on_device, skip_bigrams, statistics_distance
from unsup_asr import compute
from unsup_asr.ranges import NonNegative, OpenFraction, Positive, PositiveInt
from unsup_asr.types import Float32Array, Int32Array


@dataclass(frozen=True, kw_only=True)
class AnchoredMatching:
    """Options. `floor`: what each phone has of a cluster before its segments are heard."""

    num_lags: PositiveInt = 6
    iterations: PositiveInt = 200
    learning_rate: Positive = 0.05  # falls linearly to 0 over the second half
    anchor: NonNegative = 0.5
    floor: OpenFraction = 1e-2

    @property
    def num_steps(self) -> int:
        """How often `match` calls `progress`."""
        return self.iterations

    def match(
        self,
        clusters: Sequence[Int32Array],
        evidence: Sequence[Float32Array],
        text: Sequence[Int32Array],
        *,
        num_clusters: int,
        num_phones: int,
        progress: Callable[[], None] = lambda: None,
    ) -> Matching:
        """The table near what was heard whose statistics are the text's.

        `evidence` (S, V) is how much each segment of an utterance sounds like each phone,
        `clusters` (S,) its cluster; `text` phone ids of sentences. ValueError where the two do not
        correspond.
        """
        frequency_V = np.bincount(np.concatenate(text), minlength=num_phones) / sum(map(len, text))
        heard_KV = self.table(clusters, evidence, frequency_V, num_clusters=num_clusters)
        share_K = np.bincount(np.concatenate(clusters), minlength=num_clusters).astype(np.float32)
        with compute.exact_products():
            speech_LKK = on_device(skip_bigrams(clusters, num_clusters, num_lags=self.num_lags))
            text_LVV = on_device(skip_bigrams(text, num_phones, num_lags=self.num_lags))
            anchor_KV, share_K1 = on_device(heard_KV), on_device(share_K[:, None] / share_K.sum())
            weights_KV = (anchor_KV + 1e-3).log().requires_grad_()
            optimizer = torch.optim.Adam([weights_KV], lr=self.learning_rate, betas=(0.9, 0.98))
            curve: list[float] = []
            for iteration in range(self.iterations):
                rate = min(1.0, 2.0 * (1.0 - iteration / self.iterations))
                optimizer.param_groups[0]["lr"] = self.learning_rate * rate
                log_KV = weights_KV.log_softmax(-1)
                distance = statistics_distance(log_KV.exp()[None], speech_LKK, text_LVV).sum()
                divergence = (share_K1 * torch.special.xlogy(anchor_KV, anchor_KV)).sum()
                divergence = divergence - (share_K1 * anchor_KV * log_KV).sum()
                optimizer.zero_grad(set_to_none=True)
                (distance + self.anchor * divergence).backward()
                optimizer.step()
                if iteration % 20 == 0:
                    curve.append(distance.item())
                progress()
            with torch.no_grad():
                tables_1KV = weights_KV.softmax(-1)[None]
                loss = statistics_distance(tables_1KV, speech_LKK, text_LVV).item()
        tables = tables_1KV.cpu().numpy()
        return Matching(tables[0], tables, [loss], 0, [[*curve, loss]])

    def table(
        self,
        clusters: Sequence[Int32Array],
        evidence: Sequence[Float32Array],
        frequency_V: np.ndarray,
        *,
        num_clusters: int,
    ) -> Float32Array:
        """What was heard of each cluster (K, V), scaled to the phones' frequencies."""
        if [len(c) for c in clusters] != [len(e) for e in evidence] or not any(map(len, clusters)):
            raise ValueError(
                f"{sum(map(len, clusters))} segments have clusters and {sum(map(len, evidence))} "
                "have evidence; expected one row of evidence for each segment, and at least one"
            )
        heard_KV = np.full((num_clusters, len(frequency_V)), self.floor)
        for clusters_S, evidence_SV in zip(clusters, evidence, strict=True):
            np.add.at(heard_KV, clusters_S, evidence_SV)
        size_K = np.bincount(np.concatenate(clusters), minlength=num_clusters)
        table_KV = heard_KV / heard_KV.sum(axis=1, keepdims=True)
        heard_V = size_K @ table_KV / size_K.sum()
        table_KV *= frequency_V / heard_V.clip(1e-4)
        table_KV = table_KV.clip(1e-8)
        return (table_KV / table_KV.sum(axis=1, keepdims=True)).astype(np.float32)
