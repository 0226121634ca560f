"""Learned numbers of a segmenter on disk: one safetensors file, no pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file


def write_arrays(folder: Path, name: str, arrays: Mapping[str, NDArray]) -> None:
    """Write `<name>.safetensors` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    contiguous = {key: np.array(value, order="C") for key, value in arrays.items()}
    save_file(contiguous, folder / f"{name}.safetensors")


def read_arrays(folder: Path, name: str, keys: tuple[str, ...]) -> dict[str, NDArray]:
    """Arrays of `<name>.safetensors`; ValueError when the file or a key is missing."""
    path = folder / f"{name}.safetensors"
    if not path.is_file():
        raise ValueError(f"{path} does not exist; expected what the segmenter's save wrote")
    arrays = load_file(path)
    missing = [key for key in keys if key not in arrays]
    if missing:
        raise ValueError(f"{path} has no {missing}; found {sorted(arrays)}. Fit and save again")
    return arrays
