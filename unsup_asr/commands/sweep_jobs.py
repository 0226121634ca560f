"""Runs of a sweep as processes of this machine, or as jobs that submitit starts.

Whoever ends a sweep ends its runs with all that they have started: each is a process group.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import psutil

from unsup_asr.commands import UsageError
from unsup_asr.types import Seconds

if TYPE_CHECKING:
    import submitit

_POLL_S = 0.05
_PATIENCE_S = 10.0  # with a run that was asked to end, before it is killed
_LOST = -1  # the exit status of a job that has left no other


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one run of a sweep is: its command, where its output goes, how many GPUs it uses."""

    number: int
    command: tuple[str, ...]
    log: Path
    num_gpus: int = 0  # 0: it uses none, or one that its options name


class Jobs(Protocol):
    """Starts runs, and knows which have ended."""

    @property
    def num_slots(self) -> int:
        """How many runs there may be at a time."""
        ...

    def start(self, run: Run, slot: int) -> None:
        """Start a run in a slot where none is."""
        ...

    def ended(self, run: Run) -> int | None:
        """Exit status of a run that was started; None while it runs."""
        ...

    def end(self) -> None:
        """End all that run, and whatever they have started."""
        ...


@dataclass(frozen=True, kw_only=True)
class LocalJobs:
    """Processes of this machine; a slot has its own of the GPUs `gpus`, where there are any."""

    num_slots: int
    gpus: Sequence[str]
    _processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, run: Run, slot: int) -> None:
        """Start a run."""
        self._processes[run.number] = _started(run, gpus_of(run, slot, self.gpus))

    def ended(self, run: Run) -> int | None:
        """Exit status, minus a signal's number where one has ended it."""
        process = self._processes[run.number]
        code = process.poll()
        if code is not None and code < 0:  # it could not end what it had started
            end_groups([process])
        return code

    def end(self) -> None:
        """Let the runs end as after SIGTERM; what is left of them after a while is killed."""
        end_groups([each for each in self._processes.values() if each.returncode is None])


@dataclass(frozen=True, kw_only=True)
class SubmititJobs:
    """Jobs of a submitit executor: of its local one a slot at a time, else an array of all `runs`
    at once, of which SLURM decides when each begins and on which GPUs.
    """

    executor: submitit.AutoExecutor
    runs: Sequence[Run]
    num_slots: int
    gpus: Sequence[str]
    _jobs: dict[int, submitit.Job[int]] = field(default_factory=dict)

    def start(self, run: Run, slot: int) -> None:
        """Submit a run, and with the first of an array all others."""
        if self.executor.cluster == "local":
            gpus = gpus_of(run, slot, self.gpus)
            self._jobs[run.number] = self.executor.submit(run_point, run, gpus)
        elif not self._jobs:
            jobs = self.executor.map_array(run_point, self.runs)
            self._jobs.update(zip((each.number for each in self.runs), jobs, strict=True))

    def ended(self, run: Run) -> int | None:
        """Exit status, -1 where the job was lost."""
        job = self._jobs[run.number]
        if not job.done():
            return None
        has_result = job.paths.result_pickle.exists()  # else `exception` waits for it
        return int(job.result()) if has_result and job.exception() is None else _LOST

    def end(self) -> None:
        """Cancel all jobs; what the local executor leaves of them is killed."""
        left: list[psutil.Process] = []
        for job in self._jobs.values():
            if self.executor.cluster == "local" and not job.done():
                with suppress(psutil.Error):
                    controller = psutil.Process(int(job.job_id))
                    left += [controller, *controller.children(recursive=True)]
            job.cancel()
        _, alive = psutil.wait_procs(left, timeout=_PATIENCE_S)
        for process in alive:
            with suppress(psutil.Error):
                process.kill()


def gpus_of(run: Run, slot: int, gpus: Sequence[str]) -> tuple[str, ...]:
    """Names of the GPUs that a run in a slot may see; none where it is not to be told."""
    if not gpus:
        return ()
    first = slot * run.num_gpus
    return tuple(gpus[(first + k) % len(gpus)] for k in range(run.num_gpus))


def run_point(run: Run, gpus: Sequence[str] = ()) -> int:
    """The exit status of one run. If its job is cancelled it ends, with all that it has started."""
    process = _started(run, gpus)
    try:
        return process.wait()
    except BaseException:
        end_groups([process], patience_s=0.5)  # submitit's local executor waits for one second
        raise


def end_groups(
    processes: Sequence[subprocess.Popen[bytes]], *, patience_s: Seconds = _PATIENCE_S
) -> None:
    """End processes, the first of their groups, that may be gone: they are asked, and after a while
    killed; so is at once what they leave behind.
    """
    try:
        for process in processes:
            process.terminate()
        end = time.monotonic() + patience_s
        while time.monotonic() < end and any(process.poll() is None for process in processes):
            time.sleep(_POLL_S)
    finally:  # at a second Ctrl-C too
        for process in processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def submitit_jobs(
    runs: Sequence[Run],
    *,
    cluster: str,
    folder: Path,
    num_at_a_time: int,
    gpus: Sequence[str],
    minutes: int,
    num_gpus: int,
    parameters: Mapping[str, str],
) -> SubmititJobs:
    """Jobs on a cluster, `num_at_a_time` of them (0: as usual). UsageError without submitit."""
    try:
        import submitit
    except ModuleNotFoundError as error:
        raise UsageError(
            "the package 'submitit' is not installed, which jobs are submitted with: "
            "pip install 'unsup-asr[slurm]'"
        ) from error
    executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
    executor.update_parameters(
        name="unsup-asr-sweep", timeout_min=minutes, gpus_per_node=num_gpus, **parameters
    )
    num_slots = len(runs)
    if cluster == "local":
        num_slots = num_at_a_time or max(1, len(gpus))
    elif num_at_a_time:
        executor.update_parameters(slurm_array_parallelism=num_at_a_time)
    return SubmititJobs(executor=executor, runs=runs, num_slots=num_slots, gpus=gpus)


def _started(run: Run, gpus: Sequence[str]) -> subprocess.Popen[bytes]:
    """In a session of its own: Ctrl-C reaches the sweep, which ends its runs in order."""
    visible = {"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if gpus else {}
    run.log.unlink(missing_ok=True)  # a run whose sweep was killed may still write to the old one
    with run.log.open("wb") as log:
        return subprocess.Popen(
            run.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **visible},
            start_new_session=True,
        )
