"""Packages of the extra `g2p`, which phonemize what espeak-ng does not: imported when asked for."""

from __future__ import annotations

import importlib
from types import ModuleType


def import_extra(package: str, wanted_by: str) -> ModuleType:
    """The package; ValueError that says how to install it where it is missing."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ValueError(
            f"{wanted_by} needs the package {package}, which is not installed: "
            "pip install 'unsup-asr[g2p]'"
        ) from error
