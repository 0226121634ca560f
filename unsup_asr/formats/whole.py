"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes the place of `path` if all goes well.

    Each process has its own: two that write the same file leave that of the last.
    """
    scratch = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        yield scratch
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text; bytes of paths that are no UTF-8 become escapes such as `\\udce9`."""
    with whole(path) as scratch:
        scratch.write_text(text, "utf-8", errors="backslashreplace")
