"""What files are known by: sha256 of their content."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def digest_file(path: Path) -> str:
    """sha256 of the content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_files(paths: Sequence[Path]) -> list[str]:
    """sha256 of each file, read side by side."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(digest_file, paths))
