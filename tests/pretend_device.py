"""A device that is not there, with values: tensors on the CPU in wrappers that name another device.

What a GPU would refuse is refused: operations on tensors of two devices, a generator of the host
for a tensor of the device. What makes a host wait for its GPU is counted with the place in our
code: values read, shapes that depend on values, copies to the host.

    with pretend_device() as pretend, compute.using(pretend.device):
        ...
    assert pretend.host_reads == Counter()

torch's fake tensors are no use here: they have no values, and fake those of the host too.
"""

from __future__ import annotations

import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = tuple(str(ROOT / name) for name in ("unsup_asr", "segmentation", "gan", "lm"))
DEVICE = torch.device("lazy", 0)  # a name that torch knows and has no kernels for
_aten = torch.ops.aten
# Their results have as many entries as values say, so that the host must wait to know.
_SHAPED_BY_VALUES = {
    _aten.nonzero.default,
    _aten.masked_select.default,
    _aten._unique2.default,
    _aten.unique_consecutive.default,
    _aten.unique_dim.default,
    _aten.repeat_interleave.Tensor,
}
# A tensor of the host may index one of a GPU: it is copied there.
_INDEXING = {
    _aten.index.Tensor,
    _aten.index_put.default,
    _aten.index_put_.default,
    _aten._index_put_impl_.default,
    _aten._unsafe_index.Tensor,
}


class MixedDevicesError(RuntimeError):
    """One operation was given tensors of two devices."""


@dataclass
class Pretend:
    """What was seen: host reads and bytes sent, by place, and how many operations were started."""

    device: torch.device = DEVICE
    host_reads: Counter[str] = field(default_factory=Counter)
    bytes_sent: Counter[str] = field(default_factory=Counter)
    operations: int = 0
    seeds_there: set[int] = field(default_factory=set)  # of generators of the device

    def clear(self) -> None:
        """Count from here."""
        self.host_reads.clear()
        self.bytes_sent.clear()
        self.operations = 0


_now: list[Pretend] = []


class PretendTensor(torch.Tensor):
    """A tensor of the pretended device; `inner` is where its values are."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> PretendTensor:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=DEVICE,
        )
        made.inner = inner
        return made

    def __repr__(self) -> str:
        return f"PretendTensor({self.inner})"

    def tolist(self) -> Any:
        """Values, by way of the host."""
        _count_read("tolist")
        return self.inner.tolist()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


class _PretendMode(TorchDispatchMode):
    """Also sees operations that make tensors out of nothing."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


@contextmanager
def pretend_device() -> Iterator[Pretend]:
    """Inside, `DEVICE` works."""
    seen = Pretend()
    _now.append(seen)
    with pytest.MonkeyPatch.context() as patch, _PretendMode():
        patch.setattr(ThreadPoolExecutor, "submit", _submit)  # the mode is of one thread
        patch.setattr(nn.Module, "to", _module_to(nn.Module.to))
        patch.setattr(torch, "tensor", _tensor(torch.tensor))
        patch.setattr(torch, "Generator", PretendGenerator)
        _let_optimisers_fuse(patch)
        try:
            yield seen
        finally:
            _now.pop()


def _submit(_pool: object, call: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
    done: Future[Any] = Future()
    try:
        done.set_result(call(*args, **kwargs))
    except Exception as error:  # noqa: BLE001  (whatever it is, whoever asks is to have it)
        done.set_exception(error)
    return done


def _let_optimisers_fuse(patch: pytest.MonkeyPatch) -> None:
    name = "_get_fused_kernels_supported_devices"
    module = sys.modules["torch.optim.optimizer"]  # torch deletes its name
    known = getattr(module, name)
    patch.setattr(module, name, lambda: [*known(), DEVICE.type])


def _module_to(original: Any) -> Any:
    def to(self: nn.Module, *args: Any, **kwargs: Any) -> nn.Module:
        asked = args[0] if args else kwargs.get("device")
        if not isinstance(asked, str | torch.device) or torch.device(asked) != DEVICE:
            return original(self, *args, **kwargs)
        for module in self.modules():
            for name, weight in list(module._parameters.items()):
                if weight is not None and not isinstance(weight.data, PretendTensor):
                    there = PretendTensor(weight.detach().clone())
                    module._parameters[name] = nn.Parameter(there, weight.requires_grad)
            for name, buffer in list(module._buffers.items()):
                if buffer is not None and not isinstance(buffer, PretendTensor):
                    module._buffers[name] = PretendTensor(buffer.detach().clone())
        return self

    return to


def _tensor(original: Any) -> Any:
    def tensor(data: Any, *args: Any, device: Any = None, **kwargs: Any) -> torch.Tensor:
        if device is None or torch.device(device) != DEVICE:
            return original(data, *args, device=device, **kwargs)
        return original(data, *args, **kwargs).to(DEVICE)

    return tensor


class PretendGenerator(torch.Generator):
    """A generator of the host that may say that it is the device's: its seed is remembered.

    Operations see another object for the same generator, which only its seed tells apart.
    """

    is_there: bool

    def __new__(cls, device: Any = "cpu") -> PretendGenerator:
        is_there = torch.device(device) == DEVICE
        made = super().__new__(cls, device="cpu" if is_there else device)
        made.is_there = is_there
        return made

    def __init__(self, device: Any = "cpu") -> None:
        del device

    def manual_seed(self, seed: int) -> torch.Generator:
        """The generator itself, as torch's."""
        if self.is_there and _now:
            _now[-1].seeds_there.add(seed)
        super().manual_seed(seed)
        return self


def _place() -> str:
    for frame in reversed(traceback.extract_stack()):
        if frame.filename.startswith(PACKAGES):
            return f"{Path(frame.filename).relative_to(ROOT)}: {frame.line}"
    return "outside"


def _count_read(what: str) -> None:
    if _now:
        _now[-1].host_reads[f"{what} in {_place()}"] += 1


def _count_sent(tensor: torch.Tensor) -> None:
    if _now:
        _now[-1].bytes_sent[_place()] += tensor.numel() * tensor.element_size()


def _inner(value: Any) -> Any:
    return value.inner if isinstance(value, PretendTensor) else value


def _run(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    leaves = tree_leaves((args, kwargs))
    there = [x for x in leaves if isinstance(x, PretendTensor)]
    here = [x for x in leaves if isinstance(x, torch.Tensor) and not isinstance(x, PretendTensor)]
    asked = next((x for x in leaves if isinstance(x, torch.device)), None)
    wants_there = bool(there) if asked is None else asked == DEVICE
    on_host = tree_map(lambda x: torch.device("cpu") if x == DEVICE else x, kwargs)
    if on_host.get("pin_memory"):
        on_host["pin_memory"] = False
    is_to = func._overloadpacket is _aten.to  # whole in inference mode, else made of _to_copy
    if is_to:
        args = tree_map(lambda x: torch.device("cpu") if x == DEVICE else x, args)
    if is_to or func in (_aten._to_copy.default, _aten.copy_.default):
        return _copy(func, args, on_host, wants_there=wants_there)
    _check(func, args, kwargs, there, here, wants_there=wants_there)
    found = func(*tree_map(_inner, args), **tree_map(_inner, on_host))
    if _now and wants_there:
        _now[-1].operations += 1
    known = {id(x.inner): x for x in there}  # what an operation in place gives back

    def seen(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        if id(value) in known:
            return known[id(value)]
        return PretendTensor(value) if wants_there else value

    return tree_map(seen, found)


def _is_of_host(generator: torch.Generator) -> bool:
    return generator.initial_seed() not in _now[-1].seeds_there


def _copy(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, wants_there: bool) -> Any:
    to_there = isinstance(args[0], PretendTensor)
    if func is _aten.copy_.default:
        from_there = isinstance(args[1], PretendTensor)
        if to_there and not from_there:
            _count_sent(args[1])
        if from_there and not to_there:
            _count_read("copy")
        _inner(args[0]).copy_(_inner(args[1]))
        return args[0]
    if to_there and not wants_there:
        _count_read("copy")
    if wants_there and not to_there:
        _count_sent(args[0])
    copied = func(_inner(args[0]), *args[1:], **kwargs)
    return PretendTensor(copied) if wants_there else copied


def _check(
    func: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    there: list[PretendTensor],
    here: list[torch.Tensor],
    *,
    wants_there: bool,
) -> None:
    """Count what the host waits for; an error for what a GPU refuses."""
    if func is _aten._local_scalar_dense.default and there:
        _count_read("value")
    sized = func is _aten.repeat_interleave.Tensor and kwargs.get("output_size") is not None
    if func in _SHAPED_BY_VALUES and there and not sized:
        _count_read(str(func))
    if func is _aten.index.Tensor and there:
        is_mask = any(i is not None and i.dtype == torch.bool for i in args[1])
        if is_mask:
            _count_read("mask as index")
    generator = kwargs.get("generator")
    if (
        generator is not None
        and wants_there
        and generator.initial_seed() not in _now[-1].seeds_there
    ):
        raise RuntimeError(f"{func} at {_place()}: the generator is the host's, the tensor is not")
    if not there or not here:
        return
    if func in _INDEXING and isinstance(args[0], PretendTensor):
        for tensor in here:
            _count_sent(tensor)
        return
    if wrong := [tuple(x.shape) for x in here if x.dim() > 0]:
        raise MixedDevicesError(
            f"{func} at {_place()}: tensors of the host {wrong}, of the device "
            f"{[tuple(x.shape) for x in there][:3]}"
        )
