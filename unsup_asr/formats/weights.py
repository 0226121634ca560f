"""Tensors, and weights of networks, out of safetensors files that may be damaged."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from unsup_asr.formats.checked import read_safetensors


def read_tensors(path: Path, *needed: str) -> dict[str, Tensor]:
    """Tensors of a safetensors file by name, the `needed` ones among them."""
    return read_safetensors(path, load_file, needed)


def load_weights(network: nn.Module, path: Path) -> None:
    """Give a network the weights of a safetensors file; they must be those of its very shape."""
    weights = read_tensors(path)
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    if differing := sorted(
        name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)
    ):
        name = differing[0]
        raise ValueError(
            f"{path}: {len(differing)} of {len(expected)} weights are not those of the network "
            f"described beside it (first: {name}, {found.get(name, 'missing')} for "
            f"{expected.get(name, 'none')}); the two files are of different trainings"
        )
    if bad := [name for name, value in weights.items() if not torch.isfinite(value).all()]:
        raise ValueError(f"{path}: {bad[0]} is not finite; train again")
    network.load_state_dict(weights, assign=True)
