"""Every probability and back-off weight of random texts against lmplz's own.

python -m benchmarks.against_lmplz --lmplz PATH [--texts 400] [--first-seed 0]

Texts of few or many words: uniform, Zipf, Markov chains, one word again and again, one sentence,
short sentences, empty lines, repeated lines, other scripts with spaces that part no words, words
like parts of an ARPA file between odd white space; orders 1 to 6, thresholds 0 to 3.
"""

import argparse
import random
import subprocess
import tempfile
from pathlib import Path

from lm.arpa import ArpaModel, read_arpa
from lm.ngram import NgramEstimator
from lm.token_lines import read_token_lines

KINDS = (
    *("uniform", "zipf", "markov", "same word", "one sentence", "short", "empty lines"),
    *("repeated lines", "other scripts", "odd words"),
)
ODD_WORDS = ["<UNK>", "<S>", "\\data\\", "ngram", "-1.0", "|", "unk", "\\end\\", "\\1-grams:", "s"]


def sentence(kind: str, words: list[str], draws: random.Random) -> list[str]:
    length = draws.randint(1, 3) if kind == "short" else draws.choice([0, 1, 2, 3, 6, 12, 25])
    if kind == "same word":
        return words[:1] * length
    if kind == "zipf":
        last = len(words) - 1
        return [words[min(int(len(words) ** draws.random()) - 1, last)] for _ in range(length)]
    if kind == "markov":
        at = [draws.randrange(len(words))]
        for _ in range(length):
            at.append((at[-1] * 7 + draws.choice([0, 0, 0, 1, 2])) % len(words))
        return [words[i] for i in at]
    return draws.choices(words, k=length)


def text_of(kind: str, draws: random.Random) -> str:
    words = [f"w{i}" for i in range(draws.choice([1, 2, 3, 5, 10, 40, 200]))]
    if kind == "other scripts":
        words = [
            chr(0x4E00 + i) + "é" * (i % 3) + "\u00a0\u3000" * (i % 2) for i in range(len(words))
        ]
    if kind == "odd words":
        words = ODD_WORDS[: max(2, len(words))]
    num = 1 if kind == "one sentence" else draws.choice([1, 2, 3, 5, 10, 30, 100, 300])
    lines = [" ".join(sentence(kind, words, draws)) for _ in range(num)]
    if kind == "empty lines":
        lines += [""] * draws.randint(1, 10)
        draws.shuffle(lines)
    if kind == "repeated lines":
        lines *= draws.randint(2, 5)
    if kind == "odd words":
        gaps = [" ", "\t", "  ", " \t ", "\r"]
        lines = ["\t" + line.replace(" ", draws.choice(gaps)) + "\r" for line in lines]
    return "\n".join(lines) + "\n"


def largest_difference(one: ArpaModel, other: ArpaModel) -> float:
    """In log10 units; infinite where the n-grams are not the same."""
    largest = 0.0
    for order in range(1, len(one.orders) + 1):
        a, b = one.table(order), other.table(order)
        if a.keys() != b.keys():
            return float("inf")
        pairs = (pair for ngram in a for pair in zip(a[ngram], b[ngram], strict=True))
        largest = max([largest, *(abs(x - y) for x, y in pairs if x != y)])
    return largest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lmplz", default="lmplz")
    parser.add_argument("--texts", type=int, default=400)
    parser.add_argument("--first-seed", type=int, default=0)
    arguments = parser.parse_args()
    worst, num_apart = 0.0, 0
    with tempfile.TemporaryDirectory() as folder:
        text, arpa = Path(folder) / "text.txt", Path(folder) / "lmplz.arpa"
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.texts):
            draws = random.Random(seed)
            kind, order = draws.choice(KINDS), draws.randint(1, 6)
            prune = sorted(draws.choices([0, 0, 1, 2, 3], k=draws.randint(1, order)))
            text.write_bytes(text_of(kind, draws).encode())
            command = [arguments.lmplz, "-o", str(order), "--discount_fallback", "-S", "300M"]
            options = ["-T", f"{folder}/", "--text", str(text), "--arpa", str(arpa)]
            subprocess.run(
                [*command, *options, "--prune", *map(str, prune)], check=True, capture_output=True
            )
            ours = NgramEstimator(order=order, prune=prune).estimate(read_token_lines(text))
            difference = largest_difference(ours, read_arpa(arpa))
            if difference > 1e-4:
                num_apart += 1
                print(f"seed {seed}: {kind}, order {order}, prune {prune}: {difference:.2e}")
            worst = max(worst, difference)
    print(f"{arguments.texts} texts, {num_apart} apart by more than 1e-4; largest {worst:.1e}")


if __name__ == "__main__":
    main()
