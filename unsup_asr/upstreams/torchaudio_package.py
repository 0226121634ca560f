"""torchaudio, for the networks that it has: the one place that imports it, or says why it cannot.

It is a package beside torch with a release line of its own, which ended at 2.11; torch goes on. Its
compiled part fits the torch that it was made for and some others, so a pair that does not fit fails
where it is imported. Nothing else of this project needs it.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

import torch

from unsup_asr.upstreams.checkpoint import first_line

OLDEST = (2, 5)
_INSTALL = "pip install 'unsup-asr[torchaudio]'"


def torchaudio_part(name: str = "") -> ModuleType:
    """`torchaudio`, or `torchaudio.<name>`; ValueError where it is missing, too old or broken."""
    found = torchaudio_version()
    if tuple(map(int, found.split("+")[0].split(".")[:2])) < OLDEST:
        raise ValueError(
            f"torchaudio is {found}; expected {'.'.join(map(str, OLDEST))} or newer: {_INSTALL}"
        )
    try:
        return import_module(f"torchaudio.{name}" if name else "torchaudio")
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        raise ValueError(
            f"torchaudio {found} cannot be imported beside torch {torch.__version__} "
            f"({first_line(error)}); take both of one version from one index (docs/install.md), or "
            "an upstream that needs no torchaudio"
        ) from error


def torchaudio_version() -> str:
    """As it says itself; ValueError where it is not installed."""
    try:
        return version("torchaudio")
    except PackageNotFoundError as error:
        raise ValueError(
            f"torchaudio is not installed, whose networks this upstream is run by: {_INSTALL}"
        ) from error
