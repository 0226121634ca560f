"""A function over a stream in threads, a few items ahead of who reads the results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(
    pool: Executor, function: Callable[[Item], Result], items: Iterable[Item], *, ahead: int
) -> Iterator[Result]:
    """Results in order; at most `ahead` of them wait, however many items there are.

    `Executor.map` would start on all items at once and keep what nobody has read yet.
    """
    source = iter(items)
    waiting: deque[Future[Result]] = deque(
        pool.submit(function, item) for item in islice(source, ahead)
    )
    while waiting:
        result = waiting.popleft().result()
        waiting.extend(pool.submit(function, item) for item in islice(source, 1))
        yield result
