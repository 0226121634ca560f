"""Tensors, and weights of networks, out of safetensors files that may be damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from unsup_asr.formats.checked import read_safetensors, reading


def read_tensors(path: Path, *needed: str) -> dict[str, Tensor]:
    """Tensors of a safetensors file by name, the `needed` ones among them."""
    return read_safetensors(path, load_file, needed)


def read_described_tensors(path: Path, *needed: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors by name, and the JSON object, with `needed` keys, that lies beside them in the file
    as the metadata `description`.
    """
    tensors = read_tensors(path)
    with reading(path, "tensors with a description"), safe_open(path, "pt") as opened:
        description = json.loads((opened.metadata() or {})["description"])
        if missing := [key for key in needed if key not in description]:
            raise ValueError(f"{path}: its description has no {missing[0]!r}")
    return tensors, description


def tensors_under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those named `prefix/...`, by the rest of their names."""
    start = prefix + "/"
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}


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
