"""Folders that transformers' `save_pretrained` writes: read without running anything in them."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from unsup_asr.upstreams.checkpoint import first_line, optional_package

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
_UNUSED = ("masked_spec_embed",)  # only read while training; some checkpoints lack it


def read_network(class_name: str, folder: Path, config: Any) -> nn.Module:
    """The network of the class that the config describes, with the folder's weights.

    ValueError for weights that are missing, damaged, or of another network.
    """
    transformers = optional_package("transformers", extra="transformers")
    weight_files(folder)
    kind = getattr(transformers, class_name)
    try:
        with _quiet(transformers):
            network, info = kind.from_pretrained(
                folder,
                config=config,
                local_files_only=True,
                weights_only=True,
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError, EOFError, KeyError, pickle.PickleError) as error:
        raise _unreadable(folder, error) from error
    except Exception as error:
        if type(error).__name__ != "SafetensorError":
            raise
        raise _unreadable(folder, error) from error
    missing = sorted(k for k in info["missing_keys"] if not k.endswith(_UNUSED))
    if missing:
        raise ValueError(
            f"{folder}: {len(missing)} weights of {class_name} are missing (first: "
            f"{missing[0]!r}); the checkpoint is damaged or of another network"
        )
    return network


def weight_files(folder: Path) -> list[Path]:
    """Those with weights: safetensors where there are both kinds; ValueError for none."""
    for pattern in ("*.safetensors", "pytorch_model*.bin"):
        if found := sorted(folder.glob(pattern)):
            return found
    raise ValueError(
        f"{folder} has no weights; expected model.safetensors or pytorch_model.bin beside {CONFIG}"
    )


def submodule(module: nn.Module, name: str) -> Any:
    """A part of a network, of a class that torch does not know."""
    return module.get_submodule(name)


def _unreadable(folder: Path, error: Exception) -> ValueError:
    return ValueError(
        f"{folder}: the weights cannot be read into the network of {CONFIG} "
        f"({first_line(error)}); get the checkpoint's files again, all of one model"
    )


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """No progress bars, no table of the keys that a pretraining head leaves over."""
    logging = transformers.utils.logging
    level, has_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if has_bars:
            logging.enable_progress_bar()
