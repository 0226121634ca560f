"""Learned numbers of a segmenter on disk: one safetensors file, no pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from unsup_asr.formats import checked


def write_arrays(folder: Path, name: str, arrays: Mapping[str, NDArray]) -> None:
    """Write `<name>.safetensors` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    contiguous = {key: np.array(value, order="C") for key, value in arrays.items()}
    save_file(contiguous, folder / f"{name}.safetensors")


def read_arrays(folder: Path, name: str, keys: tuple[str, ...]) -> dict[str, NDArray]:
    """Arrays of `<name>.safetensors`; ValueError when the file or a key is missing."""
    return checked.read_arrays(folder / f"{name}.safetensors", *keys)
