"""One training in several processes, a GPU each: every update is that of one process.

Each process takes its rows of a batch. What the rows share, random numbers, means of the batch
norm, gradients, is drawn alike or summed over the processes, so how many there are changes results
by rounding alone. Under `torchrun` the processes are there already; `shared` starts them itself.

Axes: B batch, C channels, T frames.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce
from torch.multiprocessing.spawn import start_processes

from unsup_asr import compute

Result = TypeVar("Result")
_BUCKET = 1 << 24  # gradients that are summed at once
_PATIENCE = timedelta(minutes=10)  # with a process that says nothing
_UNREACHED = distributed.DistError


class LostProcessError(RuntimeError):
    """Another process of a training has ended before its time."""


def rank() -> int:
    """Which of the processes this is, from 0; the first alone writes files."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def num_ranks() -> int:
    """How many processes share the training."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def summed(total: Tensor) -> Tensor:
    """Over all processes; no gradient passes."""
    if num_ranks() > 1:
        distributed.all_reduce(total)
    return total


def epoch_loss(total: Tensor, count: int, epoch: int) -> float:
    """The mean over `count` of what all processes have summed; read from the device here.

    ValueError where it is no number.
    """
    mean = float(summed(total)) / count
    if not math.isfinite(mean):
        raise ValueError(
            f"the loss of epoch {epoch} is {mean}; expected a number. Lower "
            "learning_rate, or compute with runtime.precision=float32"
        )
    return mean


def check_alike(value: int, what: str) -> None:
    """ValueError unless all processes have the same `value` of `what`."""
    if num_ranks() == 1:
        return
    found = torch.zeros(num_ranks(), dtype=torch.int64, device=compute.device())
    found[rank()] = value
    values = summed(found).tolist()
    if len(set(values)) > 1:
        raise ValueError(
            f"the processes of this training were {what} {', '.join(map(str, values))}; expected "
            "one number: all must be given the same checkpoint, on a file system that they share"
        )


def sum_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Over all processes, in place; every parameter has one."""
    if num_ranks() == 1:
        return
    bucket: list[Tensor] = []
    for number, parameter in enumerate(parameters, start=1):
        assert parameter.grad is not None
        bucket.append(parameter.grad)
        if sum(map(Tensor.numel, bucket)) < _BUCKET and number < len(parameters):
            continue
        together = summed(torch.cat([gradient.flatten() for gradient in bucket]))
        parts = together.split([gradient.numel() for gradient in bucket])
        for gradient, part in zip(bucket, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
        bucket = []


@dataclass(frozen=True)
class RowDraws:
    """Random numbers of this process's rows, out of those of a whole batch of `num_rows`.

    Every process draws all of them, so that a row's do not depend on who has it.
    """

    generator: torch.Generator
    num_rows: int

    def normal(self, shape: Sequence[int]) -> Tensor:
        """Of mean 0 and variance 1, (own rows, ...)."""
        whole = self._whole(shape)
        return self._own(torch.randn(whole, generator=self.generator, device=compute.device()))

    def bytes(self, shape: Sequence[int]) -> Tensor:
        """From 0 to 255 alike, (own rows, ...)."""
        drawn = torch.empty(self._whole(shape), dtype=torch.uint8, device=compute.device())
        return self._own(drawn.random_(0, 256, generator=self.generator))

    def _whole(self, shape: Sequence[int]) -> tuple[int, ...]:
        return (self.num_rows, *shape[1:])

    def _own(self, drawn: Tensor) -> Tensor:
        return drawn[rank() :: num_ranks()]


class SharedBatchNorm(nn.BatchNorm1d):
    """Batch norm whose statistics are those of all processes' rows.

    torch's SyncBatchNorm is for GPUs alone, and this is to be the same code wherever it is tried.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of (B, C, T), the same shape; a process may have no row."""
        if not self.training or num_ranks() == 1:
            return super().forward(input)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        x_BCT = input.float()
        rows, _, frames = x_BCT.shape
        count = summed(torch.full((), float(rows * frames), device=input.device))
        mean_C = all_reduce(x_BCT.sum(dim=(0, 2))) / count
        centred_BCT = x_BCT - mean_C[:, None]
        variance_C = all_reduce(centred_BCT.square().sum(dim=(0, 2))) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean_C, self.momentum)
            self.running_var.lerp_(variance_C * count / (count - 1), self.momentum)
        scale_C = self.weight * torch.rsqrt(variance_C + self.eps)
        return (centred_BCT * scale_C[:, None] + self.bias[:, None]).to(input.dtype)


def shared(
    num_processes: int,
    work: Callable[..., Result],
    *arguments: object,
    progress: Callable[[], None],
) -> Result:
    """What `work(*arguments, progress)` gives, done by so many processes together.

    This one is the first, on `compute.device()`; on GPUs each other has the next one. In a process
    that torchrun started, work is shared with its others, and no more are started. `work` and
    `arguments` must be picklable; DeviceError where there are fewer GPUs, LostProcessError when
    another process ends before its time.
    """
    if num_processes == 1 or distributed.is_initialized():
        with _loss_told(""):
            return work(*arguments, progress)
    compute.check_following(num_processes)
    settings = compute.device(), compute.precision_name(), torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        meeting = (Path(folder) / "meeting").as_uri(), num_processes
        others = start_processes(
            _other,
            (*meeting, settings, work, arguments),
            nprocs=num_processes - 1,
            join=False,
            daemon=True,
            start_method="spawn",
        )
        assert others is not None
        try:
            with _member(*meeting, 0), _loss_told("; the same command goes on"):
                result = work(*arguments, progress)
            others.join()
        finally:
            for process in filter(None, others.processes):
                process.terminate()
    return result


@contextlib.contextmanager
def _loss_told(remedy: str) -> Iterator[None]:
    """Say what it means that torch cannot reach the other processes."""
    try:
        yield
    except RuntimeError as error:
        if num_ranks() == 1 or not (isinstance(error, _UNREACHED) or "gloo" in str(error)):
            raise
        raise LostProcessError(
            f"another of the {num_ranks()} processes of this training is gone, or says nothing: "
            "it may have said why, or the system has ended it (not enough memory, most often). "
            f"What was kept after the last epoch is whole{remedy} ({error})"
        ) from error


def _other(
    index: int,
    where: str,
    num_processes: int,
    settings: tuple[torch.device, str, int],
    work: Callable[..., object],
    arguments: Sequence[object],
) -> None:
    """A process that `shared` has started: it computes and writes nothing."""
    first, precision, num_threads = settings
    torch.set_num_threads(num_threads)
    number = index + 1
    device = first if first.type == "cpu" else torch.device("cuda", (first.index or 0) + number)
    with compute.using(device, precision), _member(where, num_processes, number):
        work(*arguments, lambda: None)


@contextlib.contextmanager
def _member(where: str, num_processes: int, number: int) -> Iterator[None]:
    device = compute.device()
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        init_method=where,
        world_size=num_processes,
        rank=number,
        timeout=_PATIENCE,
        device_id=device if device.type == "cuda" else None,
    )
    try:
        yield
    finally:
        distributed.destroy_process_group()
