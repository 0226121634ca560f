"""Workers as jobs of a cluster, through submitit: SLURM, or its local executor."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from unsup_asr.extraction.worker import run_elsewhere
from unsup_asr.ranges import NonNegativeInt, Positive, PositiveInt

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SubmititJobs:
    """A job array of `num_jobs` workers. The experiment folder must be on a shared file system.

    `parameters` go to submitit as they are: slurm_partition, slurm_array_parallelism, ...
    """

    cluster: str = "slurm"  # or "local": processes of this machine, for trying it out
    num_jobs: PositiveInt = 8
    timeout_minutes: PositiveInt = 240
    cpus_per_task: PositiveInt = 4
    gpus_per_node: NonNegativeInt = 1
    mem_gb: PositiveInt = 16
    poll_seconds: Positive = 10.0
    parameters: dict[str, str | int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.cluster not in ("slurm", "local"):
            raise ValueError(f"launcher.cluster is {self.cluster!r}; expected 'slurm' or 'local'")
        if self.num_jobs < 1:
            raise ValueError(f"launcher.num_jobs is {self.num_jobs}; expected 1 or more")

    def run(self, job: Path, num_shards: int, *, poll: Callable[[], None]) -> None:
        """Submit the workers; return when the last one has ended, done or lost."""
        try:
            import submitit
        except ModuleNotFoundError as error:
            raise ValueError(
                "the package 'submitit' is not installed, which jobs are submitted with: "
                "pip install 'unsup-asr[slurm]'"
            ) from error
        num_jobs = min(self.num_jobs, num_shards)
        executor = submitit.AutoExecutor(folder=job.parent / "submitit", cluster=self.cluster)
        executor.update_parameters(
            name="unsup-asr-extraction",
            timeout_min=self.timeout_minutes,
            cpus_per_task=self.cpus_per_task,
            gpus_per_node=self.gpus_per_node,
            mem_gb=self.mem_gb,
            **self.parameters,
        )
        jobs = executor.map_array(
            run_elsewhere, [str(job)] * num_jobs, range(num_jobs), [num_jobs] * num_jobs
        )
        try:
            while not all(submitted.done() for submitted in jobs):
                poll()
                time.sleep(self.poll_seconds)
        except BaseException:
            for submitted in jobs:
                submitted.cancel()
            raise
        for submitted in jobs:
            has_result = submitted.paths.result_pickle.exists()  # else `exception` waits for it
            if not has_result or submitted.exception() is not None:
                log.warning(
                    "job %s ended %s, see %s. What it had not done is tried again",
                    submitted.job_id,
                    "with an error" if has_result else f"without a result ({submitted.state})",
                    submitted.paths.stderr,
                )
