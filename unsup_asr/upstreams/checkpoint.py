"""Checkpoints on this machine: optional packages that read them, and what they are known by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

from unsup_asr.formats.digests import digest_files


def optional_package(name: str, *, extra: str) -> ModuleType:
    """The package; ValueError with the pip command when it is not installed."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != name.partition(".")[0]:
            raise
        raise ValueError(
            f"the package {name!r} is not installed, which this upstream's checkpoint is read "
            f"with: pip install 'unsup-asr[{extra}]'"
        ) from error


def fingerprint(identity: Mapping[str, object], files: Sequence[Path]) -> str:
    """Digest of options and of the files' contents, whatever the files are called."""
    text = json.dumps({"identity": dict(identity), "files": digest_files(files)}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def first_line(error: Exception) -> str:
    """What went wrong, without the library's advice of many lines."""
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
