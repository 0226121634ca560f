"""Pickled checkpoints of others, read without running anything they name.

Tensors are rebuilt by torch; of a few packages whose options lie in checkpoints, objects become
`Inert`: what was stored in them and nothing else. Any other name is refused.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from unsup_asr.upstreams.checkpoint import first_line

_REBUILDING = {
    ("collections", "OrderedDict"),
    ("collections", "defaultdict"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch", "Size"),
    ("torch", "device"),
    ("torch", "float32"),
    ("torch", "float16"),
    ("torch", "FloatStorage"),
    ("torch", "HalfStorage"),
    ("torch", "LongStorage"),
    ("torch", "IntStorage"),
    ("torch", "BoolStorage"),
    ("torch", "ByteStorage"),
    ("torch", "DoubleStorage"),
}
# What omegaconf says that options are; plain types, whose call runs nothing.
_PLAIN = ("dict", "list", "str", "int", "float", "bool")
_REBUILDING |= {(module, name) for module in ("builtins", "__builtin__") for name in _PLAIN}
_STORED_OPTIONS = ("argparse", "fairseq", "omegaconf", "enum", "examples", "typing", "numpy")


class Inert(dict):
    """What was stored in an object of a class that is not loaded."""

    stored: Any = None
    arguments: tuple[Any, ...] = ()

    def __init__(self, *arguments: Any) -> None:
        super().__init__()
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.stored = state

    def append(self, value: Any) -> None:
        """Elements of a list subclass are dropped."""

    def extend(self, values: Any) -> None:
        """As `append`."""


class ForeignNameError(pickle.UnpicklingError):
    """The file names something that a checkpoint has no need of."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _REBUILDING:
            return super().find_class(module, name)
        if module.partition(".")[0] in _STORED_OPTIONS:
            return type(name, (Inert,), {"__module__": module})
        raise ForeignNameError(
            f"it names {module}.{name}, which no checkpoint of this kind has; to load it could run "
            "anybody's code"
        )


def read_pickled(path: Path) -> dict[str, Any]:
    """The dictionary in a `.pt` file, tensors on the CPU; ValueError naming the file."""
    reader = ModuleType("inert_pickle")
    vars(reader).update(
        Unpickler=_Unpickler,
        load=lambda file, **options: _Unpickler(file, **options).load(),
        UnpicklingError=pickle.UnpicklingError,
        HIGHEST_PROTOCOL=pickle.HIGHEST_PROTOCOL,
    )
    try:
        found = torch.load(path, map_location="cpu", pickle_module=reader, weights_only=False)
    except (
        *(OSError, ValueError, TypeError, EOFError, KeyError, IndexError, AttributeError),
        *(RuntimeError, AssertionError, pickle.PickleError, zipfile.BadZipFile, ImportError),
    ) as error:
        raise ValueError(
            f"{path}: not a checkpoint that can be read ({first_line(error)})"
        ) from error
    if not isinstance(found, dict):
        raise ValueError(f"{path}: expected a dictionary of options and weights")
    return found


def plain(value: Any) -> Any:
    """Dictionaries, lists and values of options, however they were wrapped."""
    if isinstance(value, Inert):
        stored = value.stored
        if isinstance(stored, dict):
            for inner in ("_content", "_val"):  # containers and nodes of omegaconf
                if inner in stored:
                    return plain(stored[inner])
            return plain(stored)
        if value.arguments and stored is None:  # an enum: its value
            return plain(value.arguments[0])
        return plain(stored)
    if isinstance(value, dict | OrderedDict):
        return {plain(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value
