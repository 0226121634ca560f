"""Processes of a pool, which end with the process that they work for."""

from __future__ import annotations

import multiprocessing
import os
import threading


def end_with_parent() -> None:
    """Call it in a worker: it ends when its parent does, killed or not.

    A pool's workers wait for work; of a parent that was killed nothing tells them that none comes.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None, "expected a process that multiprocessing has started"

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
