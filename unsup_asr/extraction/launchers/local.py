"""Workers on this machine: in the stage's own process, or in several of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch

from unsup_asr.extraction.plan import Extraction
from unsup_asr.extraction.worker import run_worker
from unsup_asr.ranges import PositiveInt

_POLL_S = 0.2


def visible_gpus() -> list[str]:
    """Names that CUDA_VISIBLE_DEVICES knows the GPUs of this process by."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return named.split(",")[:count] if named is not None else [str(i) for i in range(count)]


@dataclass(frozen=True)
class ThisProcess:
    """One worker, in the process of the run: right for one GPU, or for little audio."""

    def run(self, job: Path, num_shards: int, *, poll: Callable[[], None]) -> None:
        """Extract all shards, one after another."""
        del num_shards
        run_worker(str(job), 0, 1, poll)


@dataclass(frozen=True, kw_only=True)
class LocalProcesses:
    """`num_workers` processes, each with `num_threads` threads; each loads the upstream.

    Where there are GPUs each process has one of them, in turn, unless `runtime.device` names one.
    """

    num_workers: PositiveInt = 2
    num_threads: PositiveInt = 1

    def __post_init__(self) -> None:
        if self.num_workers < 1 or self.num_threads < 1:
            raise ValueError(
                f"launcher: {self.num_workers} workers of {self.num_threads} threads; "
                "expected 1 or more of both"
            )

    def run(self, job: Path, num_shards: int, *, poll: Callable[[], None]) -> None:
        """Start the workers; return when the last one has ended. Logs lie beside the job."""
        num_workers = min(self.num_workers, num_shards)
        gpus = visible_gpus() if Extraction.read(job).device in ("auto", "cuda") else []
        with ExitStack() as stack:
            workers: list[subprocess.Popen[bytes]] = []
            for worker in range(num_workers):
                output = stack.enter_context((job.parent / f"worker-{worker}.log").open("wb"))
                arguments = [str(job), str(worker), str(num_workers), str(self.num_threads)]
                gpu = {"CUDA_VISIBLE_DEVICES": gpus[worker % len(gpus)]} if gpus else {}
                process = subprocess.Popen(
                    [sys.executable, "-m", "unsup_asr.extraction.worker", *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **gpu},
                )
                stack.callback(process.wait)
                stack.callback(process.terminate)  # if the run is interrupted; else it has ended
                workers.append(process)
            while any(process.poll() is None for process in workers):
                poll()
                time.sleep(_POLL_S)
