"""One representation out of an upstream's layers."""

# Axes: B batch, T frames, D dims, L layers.

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unsup_asr.protocols import Upstream, UpstreamOutput
from unsup_asr.types import Seconds


def select_layer(layers_BTD: Sequence[Tensor], layer: int) -> Tensor:
    """The layer of that index; negative indices count from the last."""
    if not -len(layers_BTD) <= layer < len(layers_BTD):
        raise ValueError(
            f"layer is {layer}; the upstream has {len(layers_BTD)} layers, "
            f"0 to {len(layers_BTD) - 1} (or negative, from the last)"
        )
    return layers_BTD[layer]


def weighted_sum(layers_BTD: Sequence[Tensor], weights_L: Sequence[float]) -> Tensor:
    """Sum of the layers under the weights, which are used as they are given."""
    if len(weights_L) != len(layers_BTD):
        raise ValueError(
            f"{len(weights_L)} layer weights for an upstream of {len(layers_BTD)} layers; "
            "expected one a layer"
        )
    summed_BTD = torch.zeros_like(layers_BTD[0])
    for layer_BTD, weight in zip(layers_BTD, weights_L, strict=True):
        summed_BTD = summed_BTD + weight * layer_BTD
    return summed_BTD


class WeightedSum(nn.Module):
    """Softmax-weighted sum of an upstream's layers, learned with what stands on it.

    All layers begin with equal weight. `normalise` takes mean and variance over D out of each
    frame of each layer first. Yang et al. 2021 (SUPERB).
    """

    def __init__(self, num_layers: int, *, normalise: bool = False) -> None:
        super().__init__()
        self.scores_L = nn.Parameter(torch.zeros(num_layers))
        self.normalise = normalise

    @property
    def weights_L(self) -> Tensor:
        """The weights, positive and of sum 1, one a layer."""
        return self.scores_L.softmax(dim=0)

    def forward(self, layers_BTD: Sequence[Tensor]) -> Tensor:
        """The layers under their weights, (B, T, D)."""
        if len(layers_BTD) != len(self.scores_L):
            raise ValueError(
                f"{len(layers_BTD)} layers for a weighted sum of {len(self.scores_L)}; "
                "expected as many as it was made for"
            )
        if self.normalise:
            layers_BTD = [F.layer_norm(x_BTD, x_BTD.shape[-1:]) for x_BTD in layers_BTD]
        summed_BTD = torch.zeros_like(layers_BTD[0])
        for weight, layer_BTD in zip(self.weights_L, layers_BTD, strict=True):
            summed_BTD = summed_BTD + weight * layer_BTD  # one layer at a time: 25 are a gigabyte
        return summed_BTD


class ChosenLayer:
    """An upstream of one layer: another one's, of that index."""

    def __init__(self, upstream: Upstream, layer: int) -> None:
        self._upstream = upstream
        self._layer = layer
        self.sample_rate = upstream.sample_rate
        self.frame_shift_samples = upstream.frame_shift_samples
        self.num_layers = 1
        self.dim = upstream.dim

    @property
    def first_centre_s(self) -> Seconds:
        """That of the upstream."""
        return self._upstream.first_centre_s

    def encode(self, waves_BN: Tensor, lengths_B: Tensor) -> UpstreamOutput:
        """The chosen layer alone, in float32."""
        output = self._upstream.encode(waves_BN, lengths_B)
        layer_BTD = select_layer(output.layers_BTD, self._layer)
        return UpstreamOutput([layer_BTD.float()], output.lengths_B)

    def fingerprint(self) -> str:
        """That of the upstream: which layer is read stands in the config."""
        return self._upstream.fingerprint()
