"""The steps of training on a GPU: first whether they are right, then what they cost.

The game, matching, lexicon search, extraction, acoustic models, PCA and k-means. Needs torch,
numpy, safetensors, tqdm and this tree; torchaudio's network is taken where it is installed, else
one of its size; k-means needs faiss. Nothing is downloaded. Each part runs in a process of its own
under its own limit, so that one that hangs or fails costs no other; results are printed as they
come, and written to `--out` as one JSON object a line.

    python -m benchmarks.gpu.run --out results.jsonl       # at most 8 minutes
    ... --fairseq ~/fairseq-0.12.2   # also fairseq's own model file, on the same batch
    ... --more --surrogate surrogate.npz    # 7 minutes: fine-tuning, games on a surrogate
    ... --tiny --device cpu          # a rehearsal: seconds, and no figure worth keeping
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gpu.measure import Setting
from benchmarks.gpu.parts import MORE_PARTS, PARTS

ALL_PARTS = PARTS | MORE_PARTS


@dataclass(frozen=True)
class Outcome:
    """How a part ended."""

    part: str
    seconds: float
    error: str | None


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small sizes, to try the script")
    parser.add_argument("--fairseq", type=Path, help="checkout or unpacked source distribution")
    parser.add_argument("--out", type=Path, default=Path("gpu_results.jsonl"))
    parser.add_argument("--surrogate", type=Path, help="what benchmarks.gpu.surrogate has written")
    parser.add_argument("--more", action="store_true", help=f"these: {', '.join(MORE_PARTS)}")
    parser.add_argument("--only", nargs="*", choices=list(ALL_PARTS), help="these parts alone")
    parser.add_argument("--part", choices=list(ALL_PARTS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part is not None:
        setting = Setting(arguments.device, arguments.tiny, arguments.fairseq, arguments.surrogate)
        for row in ALL_PARTS[arguments.part].run(setting):
            print(json.dumps(row), flush=True)
        return 0
    usual = MORE_PARTS if arguments.more else PARTS
    outcomes = [_in_own_process(name, arguments) for name in arguments.only or usual]
    for outcome in outcomes:
        print(f"{outcome.part:<14}{outcome.seconds:>7.1f} s  {outcome.error or 'ok'}")
    return int(any(outcome.error for outcome in outcomes))


def _in_own_process(name: str, arguments: argparse.Namespace) -> Outcome:
    command = [sys.executable, "-m", "benchmarks.gpu.run", "--part", name]
    command += ["--device", arguments.device, *(["--tiny"] if arguments.tiny else [])]
    command += ["--fairseq", str(arguments.fairseq)] if arguments.fairseq else []
    command += ["--surrogate", str(arguments.surrogate)] if arguments.surrogate else []
    limit_s = ALL_PARTS[name].limit_s
    print(f"== {name}, at most {limit_s} s", flush=True)
    started = time.monotonic()
    error = None
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            out, err = process.communicate(timeout=limit_s)
            if process.returncode:
                error = (err.decode().strip().splitlines() or ["no message"])[-1]
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            error = f"not done after {limit_s} s"
    with arguments.out.open("a", encoding="utf-8") as file:
        for line in out.decode().splitlines():
            row = {"part": name, **json.loads(line)} if line.startswith("{") else {"said": line}
            print("   ", *(f"{key}={value}" for key, value in row.items() if key != "part"))
            file.write(json.dumps(row) + "\n")
        if error:
            print(err.decode()[-3000:], file=sys.stderr)
            file.write(json.dumps({"part": name, "error": error}) + "\n")
    return Outcome(name, time.monotonic() - started, error)


if __name__ == "__main__":
    sys.exit(main())
