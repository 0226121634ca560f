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
def progress_bar(total: int, description: str) -> Iterator[Callable[[], None]]:
    """A bar of `total` steps; call what it yields once a step."""
    with tqdm(total=total, desc=description, disable=not sys.stderr.isatty(), leave=False) as bar:

        def step() -> None:
            bar.update()

        yield step
