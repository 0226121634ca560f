"""The plug-in contracts. A recipe names a class by `_target_`; these say what it must offer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from torch import Tensor

from unsup_asr.ragged import RaggedArray
from unsup_asr.types import Float32Array, Int32Array


@dataclass(frozen=True)
class UpstreamOutput:
    """Axes: B batch, T frames, D dims. `layers_BTD` has one tensor a layer, `lengths_B` in frames."""

    layers_BTD: list[Tensor]
    lengths_B: Tensor


@runtime_checkable
class Upstream(Protocol):
    """Waveforms to frame-level representations."""

    sample_rate: int
    frame_shift_samples: int
    num_layers: int
    dim: int

    def encode(self, waves_BN: Tensor, lengths_B: Tensor) -> UpstreamOutput:
        """Representations of padded float32 waveforms in [-1, 1]; lengths in samples."""
        ...

    def fingerprint(self) -> str:
        """A digest of everything that decides the output (weights, options): enters the stage key."""
        ...


@runtime_checkable
class Segmenter(Protocol):
    """Frames to boundaries. `fit` sees unlabelled training features only."""

    def fit(self, features: RaggedArray) -> None:
        """Learn from normalised training features, each (num_frames, dim)."""
        ...

    def boundaries(self, features_TD: Float32Array) -> Int32Array:
        """Strictly increasing frame indices from 0 to T: num_segments + 1 of them."""
        ...

    def save(self, folder: Path) -> None:
        """Write what `fit` learned (safetensors, npy, json; no pickle)."""
        ...

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote."""
        ...
