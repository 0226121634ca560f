"""What all parts of `benchmarks.gpu.run` share: where they run, and how they are timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from unsup_asr import compute

Row = dict[str, object]


@dataclass(frozen=True)
class Setting:
    """Where, how large, and with whom beside."""

    device: str
    is_tiny: bool
    fairseq: Path | None = None
    surrogate: Path | None = None


@dataclass(frozen=True)
class Part:
    """What runs, and after how many seconds it is stopped."""

    run: Callable[[Setting], Iterator[Row]]
    limit_s: int


def stopwatch(call: Callable[[], object]) -> float:
    """Seconds until the device has done what the call asks for."""
    wait()
    started = time.perf_counter()
    call()
    wait()
    return time.perf_counter() - started


def wait() -> None:
    """Until the device has done all that it was asked for."""
    if compute.device().type == "cuda":
        torch.cuda.synchronize()


def memory() -> Row:
    """The most that was in use on a GPU."""
    if compute.device().type != "cuda":
        return {}
    return {"peak_gb": round(torch.cuda.max_memory_allocated() / 1e9, 2)}


def milliseconds(seconds: float) -> float:
    """Of so many seconds."""
    return round(1e3 * seconds, 3)
