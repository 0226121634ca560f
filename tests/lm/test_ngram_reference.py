"""The estimator against a slow one, written from the papers alone, and against lmplz's own output.

Chen and Goodman 1998 (3.4, equation 26) for the formulas; Heafield et al. 2013 for counts at
sentence begins, <unk> and pruning. `data/lmplz_odd_texts.json` holds texts that are hard for some
reason, and what `lmplz --discount_fallback` made of them.
"""

import json
import math
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from lm.arpa import read_arpa
from lm.ngram import NgramEstimator
from unsup_asr import cli

ODD_TEXTS = json.loads((Path(__file__).parent / "data" / "lmplz_odd_texts.json").read_text("utf-8"))
Ngram = tuple[str, ...]


class SlowKneserNey:
    """Dictionaries of strings, one n-gram at a time."""

    def __init__(self, sentences: list[list[str]], order: int, prune: list[int]) -> None:
        self.order = order
        self.raw: Counter[Ngram] = Counter()
        left: defaultdict[Ngram, set[str]] = defaultdict(set)
        for sentence in sentences:
            padded = ["<s>", *sentence, "</s>"]
            for end in range(len(padded)):
                for start in range(max(0, end - order + 1), end + 1):
                    ngram = tuple(padded[start : end + 1])
                    self.raw[ngram] += 1
                    if start > 0:
                        left[ngram].add(padded[start - 1])
        self.adjusted = {
            ngram: count if len(ngram) == order or ngram[0] == "<s>" else len(left[ngram])
            for ngram, count in self.raw.items()
        }
        self.adjusted |= {("<s>",): 0, ("<unk>",): 0}
        thresholds = [*prune, *[prune[-1]] * order][:order]
        spared = {("<s>",), ("<unk>",)} | ({("</s>",)} if order == 1 else set())
        self.pruned = {
            ngram
            for ngram in self.adjusted
            if ngram not in spared and self.raw[ngram] <= thresholds[len(ngram) - 1]
        }
        entered_raw = self._last_suffixes(sentences) if order > 1 else set()
        self.discounts = [self._discounts(n, entered_raw) for n in range(1, order + 1)]
        self.following: defaultdict[Ngram, list[Ngram]] = defaultdict(list)
        for ngram in self.adjusted:
            self.following[ngram[:-1]].append(ngram)
        num_words = sum(len(ngram) == 1 and ngram not in self.pruned for ngram in self.adjusted)
        self.uniform = 1 / (num_words - 1)

    def _last_suffixes(self, sentences: list[list[str]]) -> set[Ngram]:
        """What lmplz has in its hands when its input ends: it enters them with raw counts."""
        ids = {"<unk>": 0, "<s>": 1, "</s>": 2}
        for sentence in sentences:
            for word in sentence:
                ids.setdefault(word, len(ids))
        last: tuple[str, ...] = ()
        for sentence in sentences:
            padded = [*["<s>"] * (self.order - 1), *sentence, "</s>"]
            for end in range(self.order - 1, len(padded)):
                ngram = tuple(padded[end - self.order + 1 : end + 1])
                last = max(last, ngram, key=lambda words: [ids[word] for word in reversed(words)])
        suffixes = {last[-n:] for n in range(1, self.order)}
        return {ngram for ngram in suffixes if "<s>" not in ngram[1:]}

    def _discounts(self, n: int, entered_raw: set[Ngram]) -> list[float]:
        ngrams = [ngram for ngram in self.adjusted if len(ngram) == n]
        seen = Counter(self.raw[g] if g in entered_raw else self.adjusted[g] for g in ngrams)
        fallback = [0.0, 0.5, 1.0, 1.5]
        if not all(seen[k] for k in (1, 2, 3)):
            return fallback
        y = seen[1] / (seen[1] + 2 * seen[2])
        found = [0.0, *(k - (k + 1) * y * seen[k + 1] / seen[k] for k in (1, 2, 3))]
        return found if all(0 <= d <= k for k, d in enumerate(found)) else fallback

    def freed(self, context: Ngram) -> float:
        """The share that the n-grams after a context leave to the order below; 1 for none."""
        total = freed = 0.0
        for ngram in self.following[context]:
            count = self.adjusted[ngram]
            total += count
            discount = self.discounts[len(ngram) - 1][min(count, 3)]
            freed += count if ngram in self.pruned else discount
        return freed / total if total else 1.0

    def probability(self, ngram: Ngram) -> float:
        if ngram == ("<s>",) or (ngram == ("</s>",) and ngram in self.pruned):
            return 1.0
        context = ngram[:-1]
        lower = self.probability(ngram[1:]) if context else self.uniform
        own = 0.0
        if ngram in self.adjusted and ngram not in self.pruned:
            count = self.adjusted[ngram]
            total = sum(self.adjusted[g] for g in self.following[context])
            own = (count - self.discounts[len(ngram) - 1][min(count, 3)]) / total
        return own + self.freed(context) * lower

    def table(self, n: int) -> dict[Ngram, tuple[float, float]]:
        kept = {g for g in self.adjusted if len(g) == n and g not in self.pruned}
        if n == 1:
            kept.add(("</s>",))
        return {
            g: (
                min(0.0, math.log10(self.probability(g))),
                0.0 if n == self.order else math.log10(self.freed(g)),
            )
            for g in kept
        }


def random_text(seed: int) -> tuple[list[list[str]], int, list[int]]:
    """Sentences of few or many words, even or uneven, some empty; order; thresholds."""
    rng = np.random.default_rng(seed)
    words = [f"w{i}" for i in range(rng.choice([1, 2, 5, 30]))]
    shares = 1.0 / np.arange(1, len(words) + 1) ** rng.choice([0.0, 1.0, 2.0])
    sentences = [
        [str(w) for w in rng.choice(words, size=rng.integers(0, 9), p=shares / shares.sum())]
        for _ in range(rng.choice([1, 3, 20, 60]))
    ]
    if rng.random() < 0.2:
        sentences *= 2
    order = int(rng.integers(1, 7))
    prune = sorted(rng.choice([0, 0, 1, 2], size=rng.integers(1, order + 1)).tolist())
    return sentences, order, prune


def assert_equal_tables(found: dict, expected: dict, *, tolerance: float) -> None:
    assert found.keys() == expected.keys()
    for ngram, values in expected.items():
        assert found[ngram] == pytest.approx(values, abs=tolerance), ngram


@pytest.mark.parametrize("seed", range(60))
def test_random_texts_have_the_values_of_the_definition(seed):
    sentences, order, prune = random_text(seed)
    slow = SlowKneserNey(sentences, order, prune)
    fast = NgramEstimator(order=order, prune=prune).estimate(sentences)
    for n in range(1, order + 1):
        assert_equal_tables(fast.table(n), slow.table(n), tolerance=1e-5)


@pytest.mark.parametrize("case", ODD_TEXTS, ids=[case["name"] for case in ODD_TEXTS])
def test_odd_texts_have_the_values_of_lmplz(case, tmp_path):
    (tmp_path / "text.txt").write_bytes(case["text"].encode())
    command = ["lm", "estimate", str(tmp_path / "text.txt"), "--out", str(tmp_path / "lm.arpa")]
    options = ["--order", str(case["order"]), "--prune", *map(str, case["prune"])]
    assert cli.main([*command, *options]) == 0
    found = read_arpa(tmp_path / "lm.arpa")
    text = unicodedata.normalize("NFC", case["text"])
    slow = SlowKneserNey([line.split() for line in text.splitlines()], case["order"], case["prune"])
    for n, lmplz in enumerate(case["orders"], 1):
        expected = {tuple(ngram.split(" ")): tuple(values) for ngram, *values in lmplz}
        if text != case["text"]:  # lmplz takes one word in two Unicode forms for two
            expected = slow.table(n)
        assert_equal_tables(found.table(n), expected, tolerance=2e-6)
