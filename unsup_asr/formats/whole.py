"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes the place of `path` if all goes well.

    Each process has its own: two that write the same file leave that of the last. Where `path` is a
    link, the file that it names is written. ValueError for a device or a pipe, which would be
    replaced by a file; what the system refuses names `path`.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is no file to write; name another")
    scratch = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        yield scratch
        scratch.replace(path)
    except OSError as error:
        if error.filename != str(scratch):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):  # the disk may be gone
            scratch.unlink()


def write_whole(path: Path, text: str) -> None:
    """Write a text; bytes of paths that are no UTF-8 become escapes such as `\\udce9`."""
    with whole(path) as scratch:
        scratch.write_text(text, "utf-8", errors="backslashreplace")
