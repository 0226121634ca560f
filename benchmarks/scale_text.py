"""Own memory and time of what reads the unpaired text, at two sizes of it.

    python -m benchmarks.scale_text --sentences 100000 1000000 [--front-end 20000 100000]

Each part runs in a process of its own, measured as by benchmarks.scale_parts. Sentences are of 6 to
12 of 5000 words whose phones are their letters, two of three words among the 200 most frequent;
the front end, which phonemizes, reads English of the same shape.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from benchmarks.scale_parts import peak_of
from lm.front_end import EspeakFrontEnd
from lm.ngram import NgramEstimator
from unsup_asr.corpora.sentences import frequent_words, sample_sentences
from unsup_asr.formats.phone_text import write_inventory
from unsup_asr.steps.inputs import text_ids
from unsup_asr.steps.text import estimate_phones

_WORDS, _FREQUENT, _LETTERS = 5000, 200, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN"


def main() -> None:
    """Measure each part at both sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentences", type=int, nargs=2, default=(100_000, 1_000_000))
    parser.add_argument("--front-end", type=int, nargs=2, default=(20_000, 100_000))
    arguments = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    for name in ("front end", "sentences as ids", "phone 4-grams"):
        sizes = arguments.front_end if name == "front end" else arguments.sentences
        found = []
        for size in sizes:
            with tempfile.TemporaryDirectory() as folder:
                write_english(folder, size) if name == "front end" else write_text(folder, size)
                with spawn.Pool(1) as pool:
                    found.append(pool.apply(measured, (name, folder)))
        (small, _), (large, seconds) = found
        grows = (large - small) / (sizes[1] - sizes[0]) * 1e6
        print(
            f"| {name} | {sizes[0]} | {small:.0f} | {sizes[1]} | {large:.0f} | {grows:.0f} "
            f"| {seconds / sizes[1] * 1e6:.0f} |",
            flush=True,
        )


def write_english(folder: str, num_sentences: int) -> None:
    """Lines of the most frequent English words."""
    words, probabilities = frequent_words("en-us", _WORDS)
    with (Path(folder) / "text.txt").open("w", encoding="utf-8") as lines:
        for seed in range(0, num_sentences, 20_000):
            sentences = sample_sentences(
                words,
                probabilities,
                num_sentences=min(20_000, num_sentences - seed),
                min_words=6,
                max_words=12,
                generator=np.random.default_rng(seed),
            )
            lines.writelines(f"{sentence}\n" for sentence in sentences)


def write_text(folder: str, num_sentences: int) -> None:
    """What the front end leaves: phones.txt, inventory.json."""
    rng = np.random.default_rng(0)
    letters = list(_LETTERS)
    words = [" ".join(rng.choice(letters, size=rng.integers(2, 7))) for _ in range(_WORDS)]
    write_inventory(Path(folder) / "inventory.json", letters, {})
    with (Path(folder) / "phones.txt").open("w", encoding="utf-8") as lines:
        for _ in range(num_sentences):
            size = int(rng.integers(6, 13))
            bound = np.where(rng.random(size) < 2 / 3, _FREQUENT, _WORDS)
            lines.write(" | ".join(words[i] for i in (rng.random(size) * bound).astype(int)) + "\n")


def measured(name: str, folder: str) -> tuple[float, float]:
    """Peak own memory in MB and seconds of a part."""
    given = Path(folder)
    stage = SimpleNamespace(input=lambda _: SimpleNamespace(file=lambda name: given / name))
    calls = {
        "front end": lambda: EspeakFrontEnd(language="en-us").prepare(given / "text.txt", given),
        "sentences as ids": lambda: text_ids(stage),  # pyright: ignore[reportArgumentType]
        "phone 4-grams": lambda: estimate_phones(
            NgramEstimator(order=4), given / "phones.txt", given / "phones.arpa"
        ),
    }
    return peak_of(calls[name])


if __name__ == "__main__":
    main()
