"""A run while it runs: one line a stage for people, and a file that says the same to others.

`exp/<recipe>/.live/<host>-<pid>.json` is written anew every few seconds; `status --follow` reads
it. Files of runs that have ended stay until the next run begins.
"""

from __future__ import annotations

import datetime
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TextIO

import psutil

from unsup_asr import used
from unsup_asr.engine.memory import PeakMemory
from unsup_asr.formats.checked import read_json
from unsup_asr.formats.finished import newest_finished, read_record
from unsup_asr.formats.whole import write_whole
from unsup_asr.progress import Watched, watching
from unsup_asr.types import Seconds

log = logging.getLogger(__name__)

FOLDER = ".live"
_CLEAR_LINE = "\r\x1b[K"
_DRAW_S, _WRITE_S, _LOOK_S, _TELL_S = 1.0, 2.0, 5.0, 60.0


@dataclass(frozen=True, kw_only=True)
class Running:
    """What a run is doing; `state` is running, done, failed or ended. Times in seconds, memory in
    10^6 bytes.
    """

    command: str
    pid: int
    host: str
    begun: str
    state: str = "running"
    stage: str = ""
    position: int = 0
    num_stages: int = 0
    elapsed_s: Seconds = 0.0
    doing: str = ""
    done: int = 0
    total: int | None = None
    left_s: Seconds | None = None
    last_time_s: Seconds | None = None  # what the stage took when it was run before
    memory_mb: float = 0.0
    device: str = "cpu"
    error: str = ""

    def __str__(self) -> str:
        """One line."""
        if self.state != "running":
            return f"{self.state}{f': {self.error}' if self.error else ''}"
        parts = [f"[{self.position}/{self.num_stages}] {self.stage}: {_time(self.elapsed_s)}"]
        if self.doing:
            of = "" if self.total is None else f" of {self.total}"
            parts.append(f"{self.doing} {self.done}{of}")
        if self.left_s is not None:
            parts.append(f"about {_time(self.left_s)} left")
        elif self.last_time_s is not None:
            parts.append(f"{_time(self.last_time_s)} the last time")
        return ", ".join([*parts, f"{self.memory_mb:.0f} MB", self.device])


class Live:
    """Shows a run and writes its file; `announce` gets a line each minute where there is no
    `terminal` to draw on.
    """

    def __init__(
        self,
        root: Path,
        *,
        command: str,
        announce: Callable[[str], None],
        terminal: TextIO | None = None,
        tell_s: Seconds = _TELL_S,
        draw_s: Seconds = _DRAW_S,
    ) -> None:
        self.root, self._announce, self._terminal = root, announce, terminal
        self._tell_s, self._draw_s = tell_s, draw_s
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        host, pid = socket.gethostname(), os.getpid()
        self.now = Running(command=command, pid=pid, host=host, begun=now)
        self._path = root / FOLDER / f"{host}-{pid}.json"

    def __enter__(self) -> Live:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        for path, running in _all(self.root):
            if running.state != "running":
                path.unlink(missing_ok=True)
        self._write()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if kind is None:
            state = "done"
        else:
            state = "ended" if issubclass(kind, KeyboardInterrupt) else "failed"
        self.now = replace(self.now, state=state, error=str(error or ""))
        self._write()

    @contextmanager
    def stage(self, final: Path, position: int, num_stages: int) -> Iterator[None]:
        """While a stage runs inside that will have its results in the folder `final`."""
        name = final.parent.name
        last = _last_time(self.root, name)
        self.now = replace(
            self.now, stage=name, position=position, num_stages=num_stages, last_time_s=last
        )
        ended = threading.Event()
        with watching() as watched:
            looks = threading.Thread(target=self._look, args=(watched, ended), daemon=True)
            looks.start()
            try:
                yield
            finally:
                ended.set()
                looks.join()

    def _look(self, watched: Watched, ended: threading.Event) -> None:
        memory = PeakMemory(resets=False)
        started = time.monotonic()
        wrote = told = looked = started
        memory_mb = memory.look()
        self._see(watched, started, memory_mb)
        self._write()
        while not ended.wait(self._draw_s):
            now = time.monotonic()
            if now - looked >= _LOOK_S:  # it looks at every process of the machine
                looked = now
                memory_mb = memory.look()
            self._see(watched, started, memory_mb)
            if self._terminal is not None:
                self._terminal.write(f"{_CLEAR_LINE}{self.now}")
                self._terminal.flush()
            if now - wrote >= _WRITE_S:
                wrote = now
                self._write()
            if now - told >= self._tell_s:
                told = now
                log.info("%s", self.now)
                if self._terminal is None:
                    self._announce(str(self.now))
        if self._terminal is not None:
            self._terminal.write(_CLEAR_LINE)
            self._terminal.flush()

    def _see(self, watched: Watched, started: float, memory_mb: float) -> None:
        self.now = replace(
            self.now,
            elapsed_s=round(time.monotonic() - started, 1),
            doing=watched.doing,
            done=watched.done,
            total=watched.total,
            left_s=watched.left_s,
            memory_mb=round(memory_mb, 1),
            device=used.device(),
        )

    def _write(self) -> None:
        with suppress(OSError):  # a full disk: the stage itself reports it
            write_whole(self._path, json.dumps(asdict(self.now), ensure_ascii=False))


def newest(root: Path) -> Running | None:
    """The run that began last, of those that the experiment still knows; None without any.

    One whose process is gone says so.
    """
    found = max((running for _, running in _all(root)), key=lambda r: r.begun, default=None)
    if found is None or found.state != "running" or found.host != socket.gethostname():
        return found
    if psutil.pid_exists(found.pid):
        return found
    return replace(found, state="ended", error=f"its process was killed in stage {found.stage}")


def _all(root: Path) -> Iterator[tuple[Path, Running]]:
    for path in sorted((root / FOLDER).glob("*.json")):
        try:
            yield path, Running(**read_json(path))
        except (OSError, TypeError, ValueError):
            continue  # of another version, or gone since


def _last_time(root: Path, stage: str) -> Seconds | None:
    last = newest_finished(root / stage)
    if last is None:
        return None
    with suppress(ValueError, FileNotFoundError):  # damaged; gone meanwhile
        found = (read_record(last) or {}).get("wall_s")
        return float(found) if isinstance(found, (int, float)) else None
    return None


def _time(seconds: Seconds) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"
