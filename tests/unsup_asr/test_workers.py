"""Workers end with their parent, however that ends."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil

# Says what its workers are called, and is killed while they wait
PARENT = """
import multiprocessing, os, signal
from concurrent.futures import ProcessPoolExecutor
from unsup_asr.workers import end_with_parent
if __name__ == "__main__":
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn, initializer=end_with_parent) as pool:
        print(*set(pool.map(abs, range(8))) and [p.pid for p in multiprocessing.active_children()])
        os.sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_workers_of_a_process_that_is_killed_end(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT, "utf-8")
    with (tmp_path / "said").open("w") as said:  # no pipe, which workers would hold open
        done = subprocess.run([sys.executable, script], stdout=said, stderr=said, check=False)
    assert done.returncode == -9
    workers = [int(pid) for pid in (tmp_path / "said").read_text("utf-8").split()]
    assert workers
    end = time.monotonic() + 60
    while any(map(psutil.pid_exists, workers)):
        assert time.monotonic() < end, "they wait for ever"
        time.sleep(0.05)
