"""Where a process computes, and how exactly: one device and one precision, as torch's threads are.

`runtime.device` and `runtime.precision` set them once, before the first stage; whatever multiplies
matrices asks here. Neither changes what a stage is made of, so no key knows them; each stage
records what it ran on.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from unsup_asr import used

log = logging.getLogger(__name__)

_DRIVER = Path("/proc/driver/nvidia/version")  # there where an NVIDIA driver is loaded
_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class DeviceError(ValueError):
    """A device was asked for that torch cannot use here."""


@dataclass(frozen=True)
class _Setting:
    device: torch.device
    precision: torch.dtype
    replays: bool = False
    name: str = "cpu"


_setting = _Setting(torch.device("cpu"), torch.float32)


def device() -> torch.device:
    """Where tensors are to live."""
    used.note(_setting.name)
    return _setting.device


def precision() -> torch.dtype:
    """float32, or bfloat16: what factors of matrix products may be rounded to."""
    return _setting.precision


def replays_updates() -> bool:
    """Whether updates of one shape are to be recorded once on a GPU, and replayed."""
    return _setting.replays


def autocast() -> contextlib.AbstractContextManager[object]:
    """A context in which torch rounds factors of matrix products as `precision` says."""
    if _setting.precision is torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(_setting.device.type, _setting.precision)


def moved(tensor: torch.Tensor) -> torch.Tensor:
    """The same on the device. A GPU copies out of pinned memory, so that nobody waits for it."""
    where = device()
    if where.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(where, non_blocking=True)


def join() -> None:
    """Use the device in another thread of this process, for each has its own usual GPU."""
    if (where := device()).type == "cuda":
        torch.cuda.set_device(where)


def check_following(count: int) -> None:
    """DeviceError unless so many GPUs, from the device on, are there; CPUs are shared."""
    where = device()
    if where.type != "cuda":
        return
    first, there = where.index or 0, torch.cuda.device_count()
    if first + count > there:
        raise DeviceError(
            f"runtime.processes is {count} and the first GPU {where}, but there are {there} GPUs; "
            f"expected at most {there - first} processes"
        )


def use(
    asked: str | torch.device = "auto", asked_precision: str = "auto", *, replays: bool = False
) -> None:
    """Compute on `auto`, `cpu`, `cuda` or `cuda:N` from now on, in float32 or bfloat16.

    `auto` is the first GPU where torch can use one, else the CPU, and bfloat16 on GPUs that
    multiply it, else float32. On a GPU products of float32 are of TF32: 10 bits of mantissa are
    multiplied, 23 added. DeviceError for a GPU that is not there, saying why where that is known.
    """
    global _setting
    found = asked if isinstance(asked, torch.device) else _device(asked)
    if found.type == "cuda":
        torch.cuda.set_device(found)
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
    if asked_precision == "auto":
        is_short = found.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        chosen = torch.bfloat16 if is_short else torch.float32
    else:
        chosen = _PRECISIONS[asked_precision]
    _setting = _Setting(found, chosen, replays, _name(found))


@contextlib.contextmanager
def using(asked: str | torch.device, asked_precision: str = "float32") -> Iterator[None]:
    """As `use`, inside a `with` alone."""
    global _setting
    before = _setting
    use(asked, asked_precision)
    try:
        yield
    finally:
        _setting = before


@contextlib.contextmanager
def exact_products() -> Iterator[None]:
    """Products of float32, in convolutions too, keep all of their 23 bits inside a `with`."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def device_name() -> str:
    """`cpu`, or `cuda:0 (its name)`."""
    return _setting.name


def precision_name() -> str:
    """`float32` or `bfloat16`."""
    return str(_setting.precision).removeprefix("torch.")


def described() -> str:
    """For reports: `cpu, float32`, or `cuda:0 (its name), bfloat16`."""
    return f"{device_name()}, {precision_name()}"


def driver_version() -> str:
    """Of the NVIDIA driver that is loaded, or `unknown`."""
    try:
        said = _DRIVER.read_text("utf-8")
    except OSError:
        return "unknown"
    found = re.search(r"\b\d{3}\.\d+(\.\d+)?\b", said)
    return found[0] if found else "unknown"


def why_no_gpu() -> str | None:
    """Why torch uses no GPU although an NVIDIA driver is loaded; None where either is not so."""
    if torch.cuda.is_available() or not _DRIVER.exists():
        return None
    if torch.version.cuda is None:
        return (
            f"torch {torch.__version__} is built without CUDA; install one that is "
            "(docs/gpu.md says which)"
        )
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
    else:
        reason = "it finds none: is CUDA_VISIBLE_DEVICES set to nothing?"
    return f"torch {torch.__version__} is built for CUDA {torch.version.cuda}; {reason}"


def _name(found: torch.device) -> str:
    return f"{found} ({torch.cuda.get_device_name(found)})" if found.type == "cuda" else str(found)


def _device(asked: str) -> torch.device:
    if asked == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", 0)
        if (reason := why_no_gpu()) is not None:
            log.warning(
                "an NVIDIA driver is loaded and this run uses the CPU: %s. runtime.device=cpu says "
                "that this is meant",
                reason,
            )
        return torch.device("cpu")
    found = torch.device(asked)
    if found.type != "cuda":
        return found
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    index = found.index or 0
    if index >= count:
        reason = why_no_gpu() or (
            f"there {'is' if count == 1 else 'are'} {count} GPU{'' if count == 1 else 's'} here"
            if count
            else "there is no GPU that torch can use here"
        )
        raise DeviceError(
            f"runtime.device is {asked!r}, but {reason}; expected auto, cpu"
            + (f" or cuda:0 to cuda:{count - 1}" if count else "")
        )
    return torch.device("cuda", index)
