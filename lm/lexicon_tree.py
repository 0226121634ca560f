"""A text's words as a tree of phones with word unigrams, beside a loop of phones for other words.

Every pronunciation is a path of nodes from the root; loop nodes, one a phone, come last.
Axes: V phones, N nodes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

Pronunciation = tuple[int, ...]


@dataclass(frozen=True)
class LexiconTree:
    """Tree nodes first, each after its parent; loop nodes last. All on the CPU."""

    phone_N: Tensor
    parent_N: Tensor  # -1: the root; loop nodes have -1 and are entered by their own rule
    end_nodes: Tensor  # increasing; every loop node is one
    end_scores: Tensor  # natural log of the word's unigram
    num_tree_nodes: int
    loop_enter_V: Tensor  # log P(unknown word) + log P(phone | start of word)
    loop_bigram_VV: Tensor  # [from, to]

    @property
    def num_phones(self) -> int:
        """V."""
        return len(self.loop_enter_V)


def lexicon_tree(
    sentences: Iterable[Sequence[Pronunciation]],
    num_phones: int,
    *,
    min_count: int,
    unknown_word: float,
) -> LexiconTree:
    """Lexicon and unigrams out of phonemized sentences (homophones are one word).

    ValueError where no word is frequent enough.
    """
    counts = Counter(word for sentence in sentences for word in sentence if word)
    counts = Counter({w: c for w, c in counts.items() if c >= min_count})
    if not counts:
        raise ValueError(
            f"no word occurs {min_count} times or more in the text: there is no lexicon "
            "to decode with; lower min_count or give more text"
        )
    phones: list[int] = []
    parents: list[int] = []
    ends: dict[int, float] = {}
    total = sum(counts.values())
    path: list[int] = []  # nodes of the word before, which shares its prefix with this one
    before: Pronunciation = ()
    for word in sorted(counts):
        shared = 0
        while shared < min(len(word), len(before)) and word[shared] == before[shared]:
            shared += 1
        del path[shared:]
        for phone in word[shared:]:
            parents.append(path[-1] if path else -1)
            path.append(len(phones))
            phones.append(phone)
        ends[path[-1]] = math.log(counts[word] / total)
        before = word
    enter_V, bigram_VV, leave_V = _phone_loop(counts, num_phones)
    ends |= {len(phones) + p: float(leave_V[p]) for p in range(num_phones)}
    end_nodes = sorted(ends)
    return LexiconTree(
        torch.tensor(phones + list(range(num_phones))),
        torch.tensor(parents + [-1] * num_phones),
        torch.tensor(end_nodes),
        torch.tensor([ends[n] for n in end_nodes], dtype=torch.float32),
        len(phones),
        torch.from_numpy(enter_V + math.log(unknown_word)).float(),
        torch.from_numpy(bigram_VV).float(),
    )


def _phone_loop(
    counts: Counter[Pronunciation], num_phones: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log probabilities over word types: of the first phone, of a pair, of the end."""
    pairs = np.full((num_phones + 1, num_phones + 1), 0.1)  # row and column V: the word's edge
    for word in counts:
        path = [num_phones, *word, num_phones]
        for a, b in pairwise(path):
            pairs[a, b] += 1
    pairs = np.log(pairs / pairs.sum(axis=1, keepdims=True))
    return (
        pairs[num_phones, :num_phones],
        pairs[:num_phones, :num_phones],
        pairs[:num_phones, num_phones],
    )
