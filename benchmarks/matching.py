"""Time of matching on the units of a finished run, alone on as many threads as asked for.

python -m benchmarks.matching exp/demo/latest [--threads 1]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from gan.matching import SkipBigramMatching
from unsup_asr.formats.phone_text import (
    flat_phones,
    phone_ids,
    read_inventory,
    read_phone_sentences,
)
from unsup_asr.formats.ragged import RaggedArray


def main() -> None:
    """Print the seconds, per restart and iteration too, and the losses."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    run: Path = arguments.run
    inventory = read_inventory(run / "text" / "inventory.json")
    sentences = read_phone_sentences(run / "text" / "phones.txt")
    text = [phone_ids(flat_phones(s), inventory) for s in sentences]
    clusters = RaggedArray.open(run / "units" / "clusters" / "train")
    centroids_KD = np.load(run / "units" / "centroids.npy")
    matcher = SkipBigramMatching()
    start = time.perf_counter()
    found = matcher.match(
        [np.array(clusters[i]) for i in clusters], centroids_KD, text, num_phones=len(inventory)
    )
    seconds = time.perf_counter() - start
    steps = matcher.restarts * matcher.iterations + matcher.finalists * matcher.final_iterations
    print(
        f"{len(clusters)} utterances, {len(text)} sentences, {len(centroids_KD)} clusters: "
        f"{seconds:.1f} s, {1000 * seconds / steps:.2f} ms an iteration of a restart, "
        f"{arguments.threads} threads; losses {', '.join(f'{x:.3f}' for x in found.losses_R)}"
    )


if __name__ == "__main__":
    main()
