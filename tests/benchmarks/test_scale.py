"""Memory of stages: children count, and what grows is named."""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.scale import Cost, anonymous_mb, family, row


def test_memory_of_children_is_seen() -> None:
    child = "held = bytearray(b'1' * 50_000_000); print(1, flush=True); input()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()  # the child holds it now
        found = family(process.pid)
        assert len(found) == 2
        assert 50 < sum(map(anonymous_mb, found)) < 90
        process.stdin.close()
    time.sleep(0.01)
    assert anonymous_mb(process.pid) == 0.0


def test_a_stage_that_grows_is_named() -> None:
    assert row("words", Cost(100, 1), Cost(110, 4), 1.0, 2.0).endswith("| 2 | grows")
    assert row("words", Cost(100, 1), Cost(104, 4), 1.0, 2.0) == (
        "| words | 100 | 104 | +4.0 | 496 | 3936 | 2 |"
    )
