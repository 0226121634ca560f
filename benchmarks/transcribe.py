"""Memory and speed of `transcribe` by the length of a recording, each in a process of its own.

The recording is bursts of noise with pauses; the model a folder of a run. `python -m
benchmarks.transcribe exp/toy/latest/model --hours 0.05 1 2`.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from unsup_asr.cli import main as unsup_asr

_RATE = 16000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--hours", type=float, nargs="+", default=[0.05, 1.0, 2.0])
    parser.add_argument("--audio", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.audio is not None:
        print(unsup_asr(["transcribe", str(options.model), str(options.audio), "--format", "txt"]))
        print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
        return
    with tempfile.TemporaryDirectory() as folder:
        for hours in options.hours:
            audio = Path(folder) / "recording.flac"
            _write(audio, hours)
            command = ["-m", "benchmarks.transcribe", str(options.model), "--audio", str(audio)]
            found = subprocess.run(
                [sys.executable, *command], capture_output=True, text=True, check=True
            )
            print(f"{hours:g} h: {found.stderr.strip()}, {found.stdout.splitlines()[-1]}")


def _write(path: Path, hours: float) -> None:
    rng = np.random.default_rng(0)
    time_s = np.arange(60 * _RATE) / _RATE
    loudness = 0.2 * np.sin(2 * np.pi * 3 * time_s) ** 2 * (time_s % 3 < 2.4) + 1e-4
    with soundfile.SoundFile(path, "w", _RATE, 1) as file:
        for _ in range(round(60 * hours)):
            file.write(loudness * rng.standard_normal(len(time_s)))


if __name__ == "__main__":
    main()
