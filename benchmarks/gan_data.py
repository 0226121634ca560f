"""Memory of the game's data side: is it flat in the hours of audio?

    OMP_NUM_THREADS=1 python -m benchmarks.gan_data [--hours 1 10] [--batches 200]

Writes segments of so many hours (512 dims, 12 segments a second, utterances of 50 to 150 segments)
to a temporary folder, opens them memory-mapped in a process of their own, and draws batches of 160.
Own memory is what the process has allocated; resident memory also counts pages of the mapped file,
which the system takes back when it needs them. Growth is since before the data were opened.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from gan.batches import UnpairedData
from unsup_asr.formats.ragged import RaggedArray, RaggedWriter

DIM, PHONES, BATCH = 512, 48, 160
SEGMENTS_A_SECOND = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--hours", type=float, nargs="+", default=[1.0, 10.0])
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--draw-from", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.draw_from is not None:
        print(json.dumps(draw(arguments.draw_from, arguments.batches)))
        return
    print(f"{'hours':>6}{'file MB':>9}{'own MB':>8}{'resident MB':>13}{'ms a batch':>12}")
    for hours in arguments.hours:
        with tempfile.TemporaryDirectory() as scratch:
            write_segments(Path(scratch), hours)
            command = [sys.executable, "-m", "benchmarks.gan_data", "--draw-from", scratch]
            command += ["--batches", str(arguments.batches)]
            answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found = json.loads(answer)
        print(
            f"{hours:>6g}{found['file_mb']:>9.0f}{found['own_mb']:>8.0f}"
            f"{found['resident_mb']:>13.0f}{found['ms']:>12.1f}",
            flush=True,
        )


def write_segments(folder: Path, hours: float) -> None:
    rng = np.random.default_rng(0)
    left = round(hours * 3600 * SEGMENTS_A_SECOND)
    with RaggedWriter(folder) as writer:
        while left > 0:
            rows = min(left, int(rng.integers(50, 151)))
            segments = rng.standard_normal((rows, DIM), dtype=np.float32)
            writer.append(f"utterance_{len(writer)}", segments)
            left -= rows


def draw(folder: Path, num_batches: int) -> dict[str, float]:
    """Most memory, in MB over that before, while batches are drawn; milliseconds of each."""
    rng = np.random.default_rng(1)
    text = [
        rng.integers(PHONES, size=rng.integers(40, 121)).astype(np.int32) for _ in range(20_000)
    ]
    before = memory_mb()
    most = dict(before)
    data = UnpairedData.check(RaggedArray.open(folder), text, num_phones=PHONES)
    start = time.perf_counter()
    for step in range(num_batches):
        batch = data.draw(step, seeds=[0], batch_size=BATCH, device="cpu")
        now = memory_mb()  # while the batch is still there
        most = {name: max(most[name], now[name]) for name in most}
        del batch
    seconds = time.perf_counter() - start
    return {
        "file_mb": (folder / "values.npy").stat().st_size / 1e6,
        "own_mb": most["RssAnon"] - before["RssAnon"],
        "resident_mb": most["VmRSS"] - before["VmRSS"],
        "ms": 1e3 * seconds / num_batches,
    }


def memory_mb() -> dict[str, float]:
    status = Path("/proc/self/status").read_text("utf-8")
    kib = {
        name: re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
        for name in ("RssAnon", "VmRSS")
    }
    return {name: int(found.group(1)) / 1000 for name, found in kib.items() if found}


if __name__ == "__main__":
    main()
