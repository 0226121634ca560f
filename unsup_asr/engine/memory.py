"""Peak memory of a part of a process's life, such as one stage of a run."""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from pathlib import Path

import psutil

_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # of proc(5): the peak begins again from what is resident now


class PeakMemory:
    """Peak resident memory since it was made: of this process, or of its largest child if more.

    Linux forgets the earlier peak on request; elsewhere what `look` has seen counts, so it should
    be called now and then, which also finds children that were there before. `resets=False`
    leaves the peak to whoever has asked for it.
    """

    def __init__(self, *, resets: bool = True) -> None:
        self._knows_peak = resets and _reset()
        self._children = _peak_bytes(resource.RUSAGE_CHILDREN)
        self._seen = 0
        self.look()

    def look(self) -> float:
        """Memory now, of this process and all below it, in 10^6 bytes."""
        own = psutil.Process()
        sizes = [own.memory_info().rss]
        for child in own.children(recursive=True):
            with suppress(psutil.Error):  # it may have ended
                sizes.append(child.memory_info().rss)
        self._seen = max(self._seen, *sizes)
        return sum(sizes) / 1e6

    def peak_mb(self) -> float:
        """In 10^6 bytes."""
        self.look()
        found = [self._seen]
        if self._knows_peak:
            found.append(_peak_bytes(resource.RUSAGE_SELF))
        if (children := _peak_bytes(resource.RUSAGE_CHILDREN)) > self._children:
            found.append(children)
        return round(max(found) / 1e6, 1)


def _reset() -> bool:
    """Whether the system could be told to forget the peak."""
    if not os.access(_CLEAR, os.W_OK):
        return False
    try:
        _CLEAR.write_text(_RESET_PEAK, "ascii")
    except OSError:
        return False
    return True


def _peak_bytes(who: int) -> int:
    return resource.getrusage(who).ru_maxrss * 1024
