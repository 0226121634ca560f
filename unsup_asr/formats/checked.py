"""JSON and arrays out of files that may be damaged, or of something else.

Whatever is wrong is a ValueError that names the file. Nothing is unpickled. Every reader of
arrays is one of these, which `tests/test_architecture.py` checks.
"""

from __future__ import annotations

import dataclasses
import json
import math
import tokenize
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, get_type_hints

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays

from unsup_asr.formats.names import shown
from unsup_asr.ranges import as_annotated, expected

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Described = TypeVar("_Described", bound="DataclassInstance")


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
    """The array of numbers that `numpy.save` wrote, in memory; nothing is unpickled."""
    return np.array(map_array(path))


def map_array(path: Path) -> NDArray[Any]:
    """As `read_array`, memory-mapped and read-only; the file is as long as its header says."""
    if not path.is_file():
        raise ValueError(f"{path} does not exist; expected an array, as numpy.save writes it")
    with reading(path, "an array as numpy.save writes it"), path.open("rb") as stream:
        shape, fortran_order, dtype = _npy_header(stream)
        start = stream.tell()
        size = math.prod(shape) * dtype.itemsize
        if dtype.kind not in "biuf" or start + size != path.stat().st_size:
            raise ValueError(
                f"{path.stat().st_size - start} bytes for {shape} of {dtype}; expected numbers"
            )
        order = "F" if fortran_order else "C"
        if size == 0:
            return np.zeros(shape, dtype)
        return np.memmap(stream, dtype, "r", offset=start, shape=shape, order=order)


def read_json(path: Path, *needed: str) -> dict[str, Any]:
    """The object in a JSON file, which has the `needed` keys."""
    if not path.is_file():
        raise ValueError(f"{path} does not exist; expected a JSON object{_with(needed)}")
    found = read_json_value(path)
    if not isinstance(found, dict):
        raise ValueError(
            f"{path}: a JSON {type(found).__name__}; expected an object{_with(needed)}"
        )
    if missing := [key for key in needed if key not in found]:
        raise ValueError(f"{path}: no {missing[0]!r}; expected an object{_with(needed)}")
    return found


def read_json_value(path: Path) -> Any:
    """What a JSON file holds, of any type."""
    if not path.is_file():
        raise ValueError(f"{path} does not exist; expected a JSON file")
    try:
        return json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path}: not JSON ({error}); the file is damaged, copy it again"
        ) from error


def read_arrays(path: Path, *needed: str) -> dict[str, NDArray]:
    """Arrays of a safetensors file by name, the `needed` ones among them."""
    return read_safetensors(path, load_arrays, needed)


def read_safetensors(
    path: Path, load: Callable[[Path], dict[str, Any]], needed: Sequence[str]
) -> dict[str, Any]:
    """What `load` gives of a safetensors file, by name, the `needed` ones among it."""
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


def described(kind: type[_Described], found: object, where: object) -> _Described:
    """The dataclass whose fields these are, as JSON has them; ValueError names what is not one of
    them, is missing, or is out of the range that a field is annotated with.
    """
    known = {field.name: field for field in dataclasses.fields(kind) if field.init}
    if not isinstance(found, dict):
        raise ValueError(f"{where}: {found!r}; expected an object with {', '.join(known)}")
    needed = [n for n, f in known.items() if f.default is f.default_factory is dataclasses.MISSING]
    odd = [*(name for name in found if name not in known), *(n for n in needed if n not in found)]
    if odd:
        raise ValueError(
            f"{where}: {shown(odd[0])} is {'unknown' if odd[0] in found else 'missing'}; expected "
            f"{', '.join(known)}"
        )
    hints = get_type_hints(kind, include_extras=True)
    for name, value in found.items():
        if wrong := expected(value, hints[name]):
            raise ValueError(f"{where}: {name} is {value!r}; expected {wrong}")
    return kind(**{name: as_annotated(value, hints[name]) for name, value in found.items()})


def _npy_header(stream: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(stream)
    raise ValueError(f"format {version}; expected 1.0 or 2.0")


def _with(needed: Sequence[str]) -> str:
    return f" with {', '.join(needed)}" if needed else ""
