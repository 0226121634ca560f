"""Callbacks of C libraries, out of which no exception gets: ctypes and cffi print it and go on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def raised_afterwards() -> Iterator[None]:
    """Raise what a callback of C raised, Ctrl-C among it, before what the library made of it."""
    usual, raised = sys.unraisablehook, list[BaseException]()

    def keep(unraisable: sys.UnraisableHookArgs) -> None:
        if unraisable.exc_value is None:
            usual(unraisable)
        else:
            raised.append(unraisable.exc_value)

    sys.unraisablehook = keep
    try:
        yield
    except Exception:
        if not raised:
            raise
    finally:
        sys.unraisablehook = usual
    if raised:
        raise raised[0]
