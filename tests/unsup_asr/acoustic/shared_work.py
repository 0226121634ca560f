"""Work that processes of a test do together, for `processes.shared` to send to them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import torch

from unsup_asr.acoustic.processes import check_alike, rank, summed


def begin_at_ranks(_progress: Callable[[], None]) -> None:
    check_alike(rank(), "trained for epochs")


def second_is_killed(_progress: Callable[[], None]) -> None:
    if rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    summed(torch.ones(3))
