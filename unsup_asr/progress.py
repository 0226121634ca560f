"""How far something long has come, for whoever watches: the line of a running stage, or a bar; and
the numbers that a training finds on its way.

A run watches its stages (`watching`) and shows them itself; elsewhere, as in `transcribe`, there is
a bar on standard error when that is a terminal, and nothing otherwise.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from tqdm import tqdm

from unsup_asr.types import Seconds

Item = TypeVar("Item")


@dataclass
class Watched:
    """What is being done: `done` of `total` (None: unknown) since `begun`, a monotonic time."""

    doing: str = ""
    done: int = 0
    total: int | None = None
    begun: Seconds = field(default_factory=time.monotonic)

    @property
    def left_s(self) -> Seconds | None:
        """Time that the rest takes at the speed so far; None while nothing tells."""
        if not self.total or not self.done:
            return None
        return (time.monotonic() - self.begun) / self.done * (self.total - self.done)


_watched: Watched | None = None


@contextmanager
def watching() -> Iterator[Watched]:
    """What all progress inside is written to, from whichever thread makes it."""
    global _watched
    before, _watched = _watched, Watched()
    try:
        yield _watched
    finally:
        _watched = before


def progress(items: Iterable[Item], description: str) -> Iterable[Item]:
    """The items, and how many are done."""
    total = len(items) if isinstance(items, Sized) else None
    if _watched is None:
        return tqdm(
            items, desc=description, total=total, disable=not sys.stderr.isatty(), leave=False
        )
    return _counted(items, total, description)


def _counted(items: Iterable[Item], total: int | None, description: str) -> Iterator[Item]:
    with progress_bar(total, description) as step:
        for item in items:
            yield item
            step()


@contextmanager
def progress_bar(
    total: int | None, description: str, *, unit: str = "it"
) -> Iterator[Callable[..., None]]:
    """A bar of `total` units with the time that is left; call what it yields once a unit, or with
    how many.
    """
    if (watched := _watched) is not None:
        watched.doing, watched.done, watched.total = description, 0, total
        watched.begun = time.monotonic()

        def count_units(count: float = 1) -> None:
            watched.done += round(count)

        yield count_units
        watched.doing, watched.done, watched.total = "", 0, None
        return
    is_hidden = not sys.stderr.isatty()
    with tqdm(total=total, desc=description, unit=unit, disable=is_hidden, leave=False) as bar:

        def step(count: float = 1) -> None:
            bar.update(round(count))

        yield step


_noted: Callable[[str, int, float], None] | None = None


@contextmanager
def noting(write: Callable[[str, int, float], None]) -> Iterator[None]:
    """Give what is noted inside to `write`: a name, a step and a value."""
    global _noted
    before, _noted = _noted, write
    try:
        yield
    finally:
        _noted = before


def note(name: str, step: int, value: float) -> None:
    """A number of a training, such as a loss after an epoch, for whoever wants to see it."""
    if _noted is not None:
        _noted(name, step, value)
