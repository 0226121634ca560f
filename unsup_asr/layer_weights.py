"""What a weighted sum of an upstream's layers has learned: which layers it listens to.

A weight alone says little where layers differ in scale: a layer of large values is heard at a small
weight. So the share of each layer in the sum is shown as well, its weight times its mean length.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class LayerWeights:
    """One entry a layer: its number, softmax weight, and mean Euclidean length of its frames."""

    layers: tuple[int, ...]
    weights: tuple[float, ...]
    norms: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.layers) == len(self.weights) == len(self.norms):
            raise ValueError(
                f"{len(self.layers)} layers, {len(self.weights)} weights and {len(self.norms)} "
                "norms; expected one of each, and at least one layer"
            )

    @property
    def shares(self) -> tuple[float, ...]:
        """w_l ||h_l|| / sum over layers: sum 1."""
        products = [w * n for w, n in zip(self.weights, self.norms, strict=True)]
        total = sum(products)
        return tuple(product / total for product in products)

    def to_json(self) -> dict[str, object]:
        """Lists; `shares` among them for readers, not read back."""
        return {
            "layers": list(self.layers),
            "weights": list(self.weights),
            "norms": list(self.norms),
            "shares": list(self.shares),
        }

    @classmethod
    def from_json(cls, data: Mapping) -> LayerWeights:
        """The object that `to_json` gave `data`."""
        return cls(tuple(data["layers"]), tuple(data["weights"]), tuple(data["norms"]))
