"""One representation out of an upstream's layers."""

# Axes: B batch, T frames, D dims, L layers.

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


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
