"""The contract of an upstream: what turns waveforms into frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from unsup_asr.types import Seconds


@dataclass(frozen=True)
class UpstreamOutput:
    """B batch, T frames, D dims. `layers_BTD` has one tensor a layer, `lengths_B` in frames."""

    layers_BTD: list[Tensor]
    lengths_B: Tensor


@runtime_checkable
class Upstream(Protocol):
    """Waveforms to frame-level representations."""

    @property
    def sample_rate(self) -> int:
        """Samples a second that `encode` expects."""
        ...

    @property
    def frame_shift_samples(self) -> int:
        """Samples from the centre of a frame to the next one's."""
        ...

    @property
    def first_centre_s(self) -> Seconds:
        """Time of the middle of the first frame's window, from the start of the audio."""
        ...

    @property
    def num_layers(self) -> int:
        """How many representations `encode` gives, the lowest first."""
        ...

    @property
    def dim(self) -> int:
        """Dimensions of a frame, the same in all layers."""
        ...

    def encode(self, waves_BN: Tensor, lengths_B: Tensor) -> UpstreamOutput:
        """Representations of padded float32 waveforms in [-1, 1]; lengths in samples.

        Computed on the device of the waveforms, as if each were alone: padding changes nothing.
        ValueError for a waveform shorter than one frame.
        """
        ...

    def fingerprint(self) -> str:
        """A digest of all that decides the output (weights, options): enters the stage key."""
        ...
