"""Padded waveforms, of which a network may see no padding: checks, scaling, time arithmetic."""

# Axes: B batch, N samples, T frames, D dims, C channels.

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad


@dataclass(frozen=True)
class Framing:
    """Which samples frames look at.

    `window`: how many one frame needs at least; `shift`: from a frame to the next; `first_centre`:
    the middle of the first frame, from the start of the audio.
    """

    window: int
    shift: int
    first_centre: float

    @classmethod
    def of_convolutions(cls, kernels: Sequence[int], strides: Sequence[int]) -> Framing:
        """Framing of a stack of convolutions without padding, the first one first."""
        window, shift = 1, 1
        for kernel, stride in zip(kernels, strides, strict=True):
            window += (kernel - 1) * shift
            shift *= stride
        return cls(window, shift, window / 2)

    def num_frames(self, lengths_B: Tensor) -> Tensor:
        """Frames of waveforms of these lengths; every whole window is one."""
        return torch.div(lengths_B - self.window, self.shift, rounding_mode="floor") + 1

    def num_frames_of(self, num_samples: int) -> int:
        """Frames of one waveform; 0 where it is shorter than a window."""
        return max(0, (num_samples - self.window) // self.shift + 1)


def check_waves(
    waves_BN: Tensor, lengths_B: Tensor, *, min_samples: int, sample_rate: int
) -> Tensor:
    """The waveforms without padding that no length reaches; ValueError if they are not as promised.

    `waves_BN` float, one a row; `lengths_B` whole numbers of samples, from `min_samples` to N.
    """
    if waves_BN.ndim != 2 or not waves_BN.is_floating_point():
        raise ValueError(
            f"waveforms are {waves_BN.dtype} of shape {tuple(waves_BN.shape)}; expected "
            "floating point in [-1, 1] of shape (batch, samples)"
        )
    if lengths_B.shape != waves_BN.shape[:1] or lengths_B.is_floating_point():
        raise ValueError(
            f"lengths are {lengths_B.dtype} of shape {tuple(lengths_B.shape)}; expected one "
            f"whole number of samples for each of {len(waves_BN)} waveforms"
        )
    if not len(lengths_B):
        raise ValueError("a batch of 0 waveforms; expected one or more")
    shortest, longest = int(lengths_B.min()), int(lengths_B.max())
    if longest > waves_BN.shape[1]:
        raise ValueError(
            f"a length of {longest} samples for waveforms padded to {waves_BN.shape[1]}; "
            "lengths are in samples, at most the padded width"
        )
    if shortest < min_samples:
        raise ValueError(
            f"a waveform of {shortest} samples ({shortest / sample_rate:.4f} s) is shorter than "
            f"one frame of {min_samples} samples; remove the utterance"
        )
    return waves_BN[:, :longest].float()


def normalise_waves(
    waves_BN: Tensor, lengths_B: Tensor | Sequence[int], *, epsilon: float
) -> Tensor:
    """Each waveform with mean 0 and variance 1 over its own samples, and zeros after them.

    `epsilon` is added to the variance: 1e-7 in transformers, 1e-5 in fairseq and torchaudio.
    """
    normalised_BN = torch.zeros_like(waves_BN)
    lengths = lengths_B.tolist() if isinstance(lengths_B, Tensor) else lengths_B
    for row_N, wave_N, length in zip(normalised_BN, waves_BN, lengths, strict=True):
        variance, mean = torch.var_mean(wave_N[:length], correction=0)
        row_N[:length] = (wave_N[:length] - mean) / torch.sqrt(variance + epsilon)
    return normalised_BN


def padding_mask(lengths_B: Tensor, num_frames: int) -> Tensor:
    """(B, T), True where a frame is padding."""
    return torch.arange(num_frames, device=lengths_B.device)[None] >= lengths_B[:, None]


def each_at_its_length(
    run: Callable[[Tensor], Tensor], padded: Tensor, lengths_B: Tensor, *, output_time_axis: int
) -> Tensor:
    """What `run` makes of the rows of `padded` (B, time, ...), one length at a time.

    For what would mix padding into its output. That has zeros after each row's end.
    """
    lengths_B = lengths_B.cpu()  # where they are already, nobody waits for the device
    parts: list[tuple[Tensor, Tensor]] = []
    for length in lengths_B.unique(sorted=True).tolist():
        rows = (lengths_B == length).nonzero()[:, 0]
        parts.append((rows, run(padded[rows, :length])))
    _, longest = parts[-1]
    output = longest.new_zeros(len(padded), *longest.shape[1:])
    for rows, part in parts:
        missing = longest.shape[output_time_axis] - part.shape[output_time_axis]
        axes_after = part.ndim - 1 - output_time_axis
        output[rows] = pad(part, [0, 0] * axes_after + [0, missing])
    return output


# Of the call that a thread is in the midst of: lengths of its waveforms in samples, and in frames.
SAMPLES: ContextVar[Tensor] = ContextVar("samples")
FRAMES: ContextVar[Tensor] = ContextVar("frames")


class EachAtItsLength(nn.Module):
    """`each_at_its_length` in the place of a module whose caller does not hand it the lengths.

    They are read from a context variable, not kept here: threads share the module.
    """

    def __init__(
        self, module: nn.Module, *, lengths: ContextVar[Tensor], output_time_axis: int
    ) -> None:
        super().__init__()
        self.module = module
        self.lengths = lengths
        self.output_time_axis = output_time_axis

    def forward(self, padded: Tensor) -> Tensor:
        """The module's output for the whole batch."""
        lengths_B = self.lengths.get()
        assert len(lengths_B) == len(padded), "the lengths are of another batch"
        return each_at_its_length(
            self.module, padded, lengths_B, output_time_axis=self.output_time_axis
        )


def without_padding(network: nn.Module) -> None:
    """Have those modules of a network of transformers that would mix padding into what they make
    of a shorter waveform run at each length, in place.
    """
    config: Any = network.config
    if getattr(config, "feat_extract_norm", "layer") == "group":
        extractor = network.get_submodule("feature_extractor")
        network.feature_extractor = EachAtItsLength(extractor, lengths=SAMPLES, output_time_axis=2)
    if config.model_type == "data2vec-audio" or getattr(config, "conv_pos_batch_norm", False):
        encoder = network.get_submodule("encoder")
        positions = encoder.get_submodule("pos_conv_embed")
        encoder.pos_conv_embed = EachAtItsLength(positions, lengths=FRAMES, output_time_axis=1)
