"""Time and memory of the lexicon search on made-up words and scores.

python -m benchmarks.lexicon_search [--words 5000 20000 120000] [--minutes 4] [--threads 1]

Words are stems of made-up phonotactics with endings, their counts Zipf's; 45 phones. Utterances are
5 to 15 s of 20 ms frames of noisy scores. Memory is the growth of the process while it searches,
above the scores that it is given; a realignment round at 100 h is so many seconds times 100 hours.
"""

import argparse
import threading
import time
from collections.abc import Iterator

import numpy as np

from lm.lexicon_viterbi import LexiconViterbi

NUM_PHONES = 45
FRAMES_A_SECOND = 50
Word = tuple[int, ...]


def made_up_words(number: int, generator: np.random.Generator) -> list[Word]:
    """The most frequent first: frequent words are short, as a rule."""
    following = generator.dirichlet(np.full(NUM_PHONES, 0.15), NUM_PHONES).cumsum(axis=1)

    def spell(length: int, phone: int) -> Word:
        word: list[int] = []
        for draw in generator.random(length):
            phone = min(int(np.searchsorted(following[phone], draw)), NUM_PHONES - 1)
            word.append(phone)
        return tuple(word)

    endings = [(), *(spell(n, p) for n, p in generator.integers((1, 0), (4, NUM_PHONES), (60, 2)))]
    words: set[Word] = set()
    while len(words) < number:
        stem = spell(2 + generator.poisson(3), int(generator.integers(NUM_PHONES)))
        chosen = generator.permutation(len(endings))[: generator.integers(1, 10)]
        words |= {stem + endings[e] for e in chosen}
    return sorted(words, key=lambda word: len(word) + generator.normal(0, 3))[:number]


def sentences(words: list[Word]) -> Iterator[list[Word]]:
    counts = np.maximum(1, 10 * len(words) / np.arange(1, len(words) + 1) / np.log(len(words)))
    return ([word] * int(count) for word, count in zip(words, counts, strict=True))


def noisy_scores(words: list[Word], num_frames: int, generator: np.random.Generator) -> np.ndarray:
    ranks = np.exp(generator.random(num_frames) * np.log(len(words))).astype(int)
    phones = [phone for rank in ranks for phone in words[rank - 1]]
    labels = np.repeat(phones, generator.integers(2, 5, len(phones)))[:num_frames]
    logits = generator.normal(0, 1.5, (num_frames, NUM_PHONES))
    logits[np.arange(num_frames), labels] += 4.0
    return (logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).astype(np.float32)


class PeakMemory:
    """The most that the process grew inside a `with`, looked at every few milliseconds."""

    def __enter__(self) -> "PeakMemory":
        import psutil  # benchmarks.gpu does without

        self._process = psutil.Process()
        self._before = self._process.memory_info().rss
        self.bytes = 0
        self._is_over = threading.Event()
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._is_over.wait(0.005):
            self.bytes = max(self.bytes, self._process.memory_info().rss - self._before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--words", type=int, nargs="+", default=[5000, 20_000, 120_000])
    parser.add_argument("--minutes", type=float, default=4.0, help="of audio to search")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    for number in arguments.words:
        generator = np.random.default_rng(0)
        words = made_up_words(number, generator)
        viterbi = LexiconViterbi()
        start = time.perf_counter()
        tree = viterbi.tree(sentences(words), NUM_PHONES)
        tree_s = time.perf_counter() - start
        lengths: list[int] = []
        while sum(lengths) < 60 * arguments.minutes * FRAMES_A_SECOND:
            lengths.append(int(generator.integers(250, 750)))
        scores = {str(i): noisy_scores(words, n, generator) for i, n in enumerate(lengths)}
        hours = sum(lengths) / FRAMES_A_SECOND / 3600
        viterbi.decode(tree, {"0": scores["0"][:2]})
        with PeakMemory() as memory:
            start, start_cpu = time.perf_counter(), time.process_time()
            viterbi.decode(tree, scores, num_threads=arguments.threads)
            took, took_cpu = time.perf_counter() - start, time.process_time() - start_cpu
        print(
            f"{number:7d} words {len(tree.phone_N):7d} nodes, tree {tree_s:4.1f} s | "
            f"an hour of audio: {took / hours:6.1f} s, {took_cpu / hours:6.1f} core-s, "
            f"{1e9 * took_cpu / (sum(lengths) * len(tree.phone_N)):5.2f} ns a node and frame | "
            f"memory {memory.bytes / 1e6:6.0f} MB, "
            f"{memory.bytes / sum(lengths) / 1e3:6.1f} kB a frame",
            flush=True,
        )


if __name__ == "__main__":
    main()
