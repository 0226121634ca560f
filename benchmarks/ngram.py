"""Time and peak memory of n-gram estimation: phone sentences and word sentences.

python benchmarks/ngram.py [--phone-sentences 1000000] [--word-tokens 5000000]

Tokens are drawn from a second-order Markov chain, so that the number of n-grams is that of
language rather than of noise.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lm.arpa import write_arpa
from lm.ngram import NgramEstimator

PHONE_ORDER, PHONES, PHONES_A_SENTENCE = 4, 45, 40
WORD_ORDER, WORDS, WORDS_A_SENTENCE = 3, 50000, 12


def markov_sentences(
    num_sentences: int, vocabulary: int, length: int, generator: np.random.Generator
) -> Iterator[list[str]]:
    """Sentences whose next token is one of 12 that the last two allow, the first likelier."""
    names = np.array([f"t{i}" for i in range(vocabulary)], dtype=object)
    shares = 1.0 / np.arange(1, 13)
    for start in range(0, num_sentences, 20000):
        num = min(20000, num_sentences - start)
        tokens = np.zeros((num, length), dtype=np.int64)
        for t in range(length):
            rank = generator.choice(12, size=num, p=shares / shares.sum())
            last = tokens[:, t - 1] if t else np.zeros(num, dtype=np.int64)
            before = tokens[:, t - 2] if t > 1 else np.zeros(num, dtype=np.int64)
            hashed = (last * 7919 + before * 104729 + rank * 31337) % 1000003
            tokens[:, t] = (hashed * hashed % 1000003) * vocabulary // 1000003
        yield from names[tokens].tolist()


def measure(name: str, order: int, sentences: Iterator[list[str]], num_tokens: int) -> None:
    start = time.perf_counter()
    model = NgramEstimator(order=order).estimate(sentences)
    estimated = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        write_arpa(Path(folder) / "lm.arpa", model)
    written = time.perf_counter()
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    sizes = " ".join(str(len(o.words)) for o in model.orders)
    print(
        f"{name}: order {order}, {num_tokens / 1e6:.1f} M tokens, n-grams {sizes}: estimated in "
        f"{estimated - start:.1f} s ({num_tokens / (estimated - start) / 1e6:.2f} M tokens/s, the "
        f"drawing of sentences included), written in {written - estimated:.1f} s, "
        f"peak {peak_gb:.2f} GB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--phone-sentences", type=int, default=1_000_000)
    parser.add_argument("--word-tokens", type=int, default=5_000_000)
    arguments = parser.parse_args()
    generator = np.random.default_rng(0)
    num = arguments.word_tokens // WORDS_A_SENTENCE
    measure(
        "words", WORD_ORDER, markov_sentences(num, WORDS, WORDS_A_SENTENCE, generator),
        num * WORDS_A_SENTENCE,
    )  # fmt: skip
    num = arguments.phone_sentences
    measure(
        "phones", PHONE_ORDER, markov_sentences(num, PHONES, PHONES_A_SENTENCE, generator),
        num * PHONES_A_SENTENCE,
    )  # fmt: skip


if __name__ == "__main__":
    main()
