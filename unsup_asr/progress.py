"""Progress bars for people: on standard error when it is a terminal, nothing otherwise."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def progress(items: Iterable[Item], description: str) -> Iterable[Item]:
    """The items, with a bar that says how many are done."""
    total = len(items) if isinstance(items, Sized) else None
    return tqdm(items, desc=description, total=total, disable=not sys.stderr.isatty(), leave=False)


@contextmanager
def progress_bar(
    total: int, description: str, *, unit: str = "it"
) -> Iterator[Callable[..., None]]:
    """A bar of `total` units with the time that is left; call what it yields once a unit, or with
    how many.
    """
    is_hidden = not sys.stderr.isatty()
    with tqdm(total=total, desc=description, unit=unit, disable=is_hidden, leave=False) as bar:

        def step(count: float = 1) -> None:
            bar.update(round(count))

        yield step
