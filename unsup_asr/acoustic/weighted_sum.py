"""One representation out of an upstream's layers, learned with what stands on it (SUPERB)."""

# Axes: B batch, T frames, D dims, L layers.

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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
