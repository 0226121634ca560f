"""Torch's generator as it was, though libraries draw from it in many threads at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

_lock = threading.Lock()
_inside = 0  # threads
_before: Tensor | None = None  # the state when the first of them came in


@contextmanager
def untouched_random_state() -> Iterator[None]:
    """Numbers drawn inside leave no trace: what is trained next does not depend on them.

    `torch.random.fork_rng` does the same for one thread alone: of two that overlap, the later one
    restores what the earlier has drawn.
    """
    global _inside, _before
    with _lock:
        if _inside == 0:
            _before = torch.get_rng_state()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                assert _before is not None
                torch.set_rng_state(_before)
