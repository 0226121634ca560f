"""JSON objects and tensors out of files that may be damaged, or of something else.

Whatever is wrong is a ValueError that names the file. Nothing is unpickled.
"""

from __future__ import annotations

import json
import tokenize
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from safetensors.torch import load_file as load_tensors
from torch import Tensor, nn


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Whatever goes wrong inside is a ValueError that names the file and what it should be."""
    try:
        yield
    except (
        *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, SyntaxError),
        *(EOFError, OSError, RuntimeError, tokenize.TokenError),  # RecursionError too
    ) as error:
        if isinstance(error, ValueError) and str(path) in str(error):
            raise
        said = f"{type(error).__name__}: {error}".strip().split("\n")[0]
        raise ValueError(
            f"{path}: not {what} ({said[:200]}); the file is damaged: copy it or make it again"
        ) from error


def read_array(path: Path) -> NDArray[Any]:
    """The array that `numpy.save` wrote; nothing is unpickled."""
    if not path.is_file():
        raise ValueError(f"{path} does not exist; expected an array, as numpy.save writes it")
    with reading(path, "an array as numpy.save writes it"):
        found = np.load(path, allow_pickle=False)
        if not isinstance(found, np.ndarray):
            raise TypeError("several arrays")
        return found


def read_json(path: Path, *needed: str) -> dict[str, Any]:
    """The object in a JSON file, which has the `needed` keys."""
    if not path.is_file():
        raise ValueError(f"{path} does not exist; expected a JSON object{_with(needed)}")
    try:
        found = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path}: not JSON ({error}); the file is damaged, copy it again"
        ) from error
    if not isinstance(found, dict):
        raise ValueError(
            f"{path}: a JSON {type(found).__name__}; expected an object{_with(needed)}"
        )
    if missing := [key for key in needed if key not in found]:
        raise ValueError(f"{path}: no {missing[0]!r}; expected an object{_with(needed)}")
    return found


def read_tensors(path: Path, *needed: str) -> dict[str, Tensor]:
    """Tensors of a safetensors file by name, the `needed` ones among them."""
    return _checked(path, load_tensors, needed)


def read_arrays(path: Path, *needed: str) -> dict[str, NDArray]:
    """Arrays of a safetensors file by name, the `needed` ones among them."""
    return _checked(path, load_arrays, needed)


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


def _checked(path: Path, load: Any, needed: tuple[str, ...]) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path} does not exist; expected a safetensors file{_with(needed)}")
    try:
        found = load(path)
    except (SafetensorError, OSError, ValueError, np.exceptions.DTypePromotionError) as error:
        raise ValueError(
            f"{path}: not a whole safetensors file ({error}); copy it again, or make it again"
        ) from error
    if missing := [key for key in needed if key not in found]:
        raise ValueError(
            f"{path} has no {missing}; found {sorted(found)}. The file is of something else"
        )
    return found


def _with(needed: tuple[str, ...]) -> str:
    return f" with {', '.join(needed)}" if needed else ""
