"""Where a verb computes."""

from __future__ import annotations

from unsup_asr import compute
from unsup_asr.commands import UsageError


def compute_on(
    device: str, precision: str, *, replays: bool = False, num_processes: int = 1
) -> None:
    """Of this process from now on, and of others that it is to start; a device that is not there is
    wrong usage.
    """
    try:
        compute.use(device, precision, replays=replays)
        compute.check_following(num_processes)
    except compute.DeviceError as error:
        raise UsageError(str(error)) from error
