"""Arrays by utterance that are made each time they are asked for, and never all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from numpy.typing import NDArray

Array = TypeVar("Array", bound=NDArray)


@dataclass(frozen=True)
class Computed(Mapping[str, Array]):
    """What `make` gives for each of `ids`, in their order; other processes can have it where
    `make` can be pickled.
    """

    ids: Sequence[str]
    make: Callable[[str], Array]

    def __getitem__(self, key: str) -> Array:
        return self.make(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __len__(self) -> int:
        return len(self.ids)
