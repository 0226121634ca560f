"""A recorder of updates without a GPU: operations are kept as they were called, and called again.

As a CUDA graph does it: recording has no effect on what the call works on, a repetition reads and
writes the very tensors of the recording, and what the host computed meanwhile is not computed
again. A call that reads a value cannot be recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class HostReadError(RuntimeError):
    """A value was read while recording."""


class PretendRecorder:
    """`working_on` gives all tensors that the calls change."""

    def __init__(self, working_on: Callable[[], Iterable[Tensor]]) -> None:
        self._working_on = working_on
        self.recorded = 0

    def record(
        self, call: Callable[[], Tensor], generators: Sequence[torch.Generator]
    ) -> tuple[Callable[[], None], Tensor]:
        """As `gan.replay.CudaRecorder.record`."""
        del generators
        self.recorded += 1
        tensors = list(self._working_on())
        before = [tensor.detach().clone() for tensor in tensors]
        with _Recording() as recording:
            found = call()
        with torch.no_grad():
            for tensor, value in zip(tensors, before, strict=True):
                tensor.copy_(value)
        return recording.repeat, found


class _Recording(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self._calls: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._local_scalar_dense.default:
            raise HostReadError("a value is read while an update is recorded")
        found = func(*args, **(kwargs or {}))
        self._calls.append((func, args, kwargs or {}, found))
        return found

    @torch.no_grad()
    def repeat(self) -> None:
        """Each operation once more; results go where they were."""
        for func, args, kwargs, found in self._calls:
            again = func(*args, **kwargs)
            for old, new in zip(tree_leaves(found), tree_leaves(again), strict=True):
                if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)
