"""One representation out of an upstream's layers."""

# Axes: B batch, T frames, D dims, L layers.

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

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


def limited_to(upstream: Upstream, highest: int) -> int:
    """Tell an upstream that can run a part of its blocks which is the last that is read.

    How many layers it gives from now on.
    """
    limit = getattr(upstream, "limit_layers", None)
    if limit is None or highest >= upstream.num_layers:
        return upstream.num_layers
    limit(highest)
    return highest + 1


class ChosenLayer:
    """An upstream of one layer: another one's, of that index."""

    def __init__(self, upstream: Upstream, layer: int) -> None:
        self._upstream = upstream
        self._layer = layer
        self.sample_rate = upstream.sample_rate
        self.frame_shift_samples = upstream.frame_shift_samples
        self.num_layers = 1
        self.dim = upstream.dim
        if layer >= 0:
            limited_to(upstream, layer)

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
