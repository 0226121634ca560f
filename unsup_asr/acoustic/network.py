"""The small convolutional network behind every acoustic model, and its checkpoint.

Axes: B batch, T frames, D dims, V outputs.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from unsup_asr import compute
from unsup_asr.acoustic.processes import RowDraws, SharedBatchNorm
from unsup_asr.formats.checked import described, read_json
from unsup_asr.formats.weights import load_weights
from unsup_asr.ranges import Probability, Size

Lengths = TypeVar("Lengths", int, Tensor)


@dataclass(frozen=True, kw_only=True)
class NetworkShape:
    """Sizes of the network: enough to build it again from a checkpoint."""

    input_dim: Size
    num_outputs: Size
    hidden: Size = 160
    kernel: Size = 5
    num_layers: Size = 2
    stack: Size = 2  # input frames joined into one output frame
    dropout: Probability = 0.2


class AcousticNetwork(nn.Module):
    """Stacked frames, `num_layers` convolutions with batch norm and ReLU, one convolution to V."""

    def __init__(self, shape: NetworkShape, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.shape = shape
        pad = shape.kernel // 2
        widths = [shape.input_dim * shape.stack, *[shape.hidden] * shape.num_layers]
        self.hidden = nn.ModuleList(
            nn.Conv1d(a, b, shape.kernel, padding=pad) for a, b in pairwise(widths)
        )
        self.norms = nn.ModuleList(SharedBatchNorm(shape.hidden) for _ in self.hidden)
        self.output = nn.Conv1d(widths[-1], shape.num_outputs, shape.kernel, padding=pad)
        for conv in [*self.hidden, self.output]:
            assert isinstance(conv, nn.Conv1d)
            assert conv.bias is not None
            bound = math.sqrt(3.0 / (conv.in_channels * shape.kernel))
            nn.init.uniform_(conv.weight, -bound, bound, generator=generator)
            nn.init.zeros_(conv.bias)

    @property
    def stack(self) -> int:
        """Frames in for one out."""
        return self.shape.stack

    def num_frames(self, length: int) -> int:
        """Frames out for so many in."""
        return num_output_frames(length, self.shape.stack)

    def forward(
        self, features_BTD: Tensor, lengths_B: Tensor, draws: RowDraws | None = None
    ) -> Tensor:
        """Log posteriors (B, ceil(T / stack), V); `num_output_frames` are each utterance's own.

        Products in the process's precision, the logarithms in float32. Dropout where there are
        `draws` for it.
        """
        stack = self.shape.stack
        batch, frames, dim = features_BTD.shape
        features_BTD = F.pad(features_BTD, (0, 0, 0, -frames % stack))
        outputs = num_output_frames(frames, stack)
        x_BDT = features_BTD.reshape(batch, outputs, dim * stack).transpose(1, 2)
        lengths_B = num_output_frames(lengths_B, stack)
        is_valid_BT = torch.arange(outputs, device=x_BDT.device) < lengths_B[:, None]
        with compute.autocast():
            for conv, norm in zip(self.hidden, self.norms, strict=True):
                x_BDT = F.relu(norm(conv(x_BDT)))
                if draws is not None:
                    x_BDT = x_BDT * _dropout_mask(x_BDT, self.shape.dropout, draws)
                x_BDT = x_BDT * is_valid_BT[:, None]
            scores_BVT = self.output(x_BDT)
        return scores_BVT.transpose(1, 2).float().log_softmax(-1)


def _dropout_mask(like: Tensor, probability: float, draws: RowDraws) -> Tensor:
    """Zeros, and 1 / share kept, drawn in bytes: twice as fast as floats on a CPU."""
    dropped = round(256 * probability)
    return (draws.bytes(like.shape) >= dropped).to(like.dtype) * (256 / (256 - dropped))


def num_output_frames(lengths: Lengths, stack: int) -> Lengths:
    """Frames out of the network for so many frames in: ceil(T / stack)."""
    return (lengths + stack - 1) // stack


def save_network(network: AcousticNetwork, folder: Path) -> None:
    """Write `network.safetensors` and `network.json` (the shape)."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.cpu() for name, tensor in network.state_dict().items()}
    save_file(weights, folder / "network.safetensors")
    (folder / "network.json").write_text(json.dumps(asdict(network.shape), indent=1), "utf-8")


def load_network(folder: Path) -> AcousticNetwork:
    """The network that `save_network` wrote, in evaluation mode; ValueError for a damaged one."""
    path = folder / "network.json"
    shape = described(NetworkShape, read_json(path), path)
    with torch.device("meta"):  # no first weights to draw
        network = AcousticNetwork(shape)
    load_weights(network, folder / "network.safetensors")
    return network.eval()
