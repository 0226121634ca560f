"""The best word sequence under frame scores: exact Viterbi over a lexicon tree with word unigrams.

Every pronunciation is a path of phone nodes from the root of a tree; the end of a word leads back
to the root at the cost of its unigram. Words outside the lexicon pass through a phone loop with
bigram scores, entered at the cost of an unknown word. Each phone takes at least one frame. There is
no beam: all nodes of a batch of utterances move one frame at a time as one tensor, and each core
has a batch of its own.

Axes: B batch, T frames, V phones, N nodes (the tree's, then one for each phone of the loop).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from unsup_asr.ranges import NonNegative, OpenFraction, Positive, PositiveInt, Real
from unsup_asr.types import Float32Array, Int32Array

_NEVER = -1e30
Pronunciation = tuple[int, ...]


@dataclass(frozen=True)
class Alignment:
    """One phone id a frame, and the frame where each phone of the sequence starts."""

    frame_phones_T: Int32Array
    starts: Int32Array
    score: float

    @property
    def phones(self) -> Int32Array:
        """The phone sequence; equal neighbours are two phones where they start apart."""
        return self.frame_phones_T[self.starts]


@dataclass(frozen=True)
class LexiconTree:
    """Tree nodes first, loop nodes last."""

    phone_N: Tensor
    parent_N: Tensor  # -1: the root; loop nodes have -1 and are entered by their own rule
    end_nodes: Tensor
    end_scores: Tensor  # natural log of the word's unigram
    num_tree_nodes: int
    loop_enter_V: Tensor  # log P(unknown word) + log P(phone | start of word)
    loop_bigram_VV: Tensor  # [from, to]


@dataclass(frozen=True, kw_only=True)
class LexiconViterbi:
    """Weights of the search. `unknown_word` is the probability of a word outside the lexicon."""

    acoustic_scale: Positive = 0.5
    lm_scale: NonNegative = 1.0
    word_score: Real = 0.0
    unknown_word: OpenFraction = 1e-3
    min_count: PositiveInt = 1
    batch_size: PositiveInt = 48

    def tree(self, sentences: Iterable[Sequence[Pronunciation]], num_phones: int) -> LexiconTree:
        """Lexicon and unigrams out of phonemized sentences (homophones are one word)."""
        counts = Counter(word for sentence in sentences for word in sentence if word)
        counts = Counter({w: c for w, c in counts.items() if c >= self.min_count})
        if not counts:
            raise ValueError(
                f"no word occurs {self.min_count} times or more in the text: there is no lexicon "
                "to decode with; lower min_count or give more text"
            )
        phones: list[int] = []
        parents: list[int] = []
        ends: dict[int, float] = {}
        node_of: dict[Pronunciation, int] = {}
        total = sum(counts.values())
        for word in sorted(counts):
            parent = -1
            for length in range(1, len(word) + 1):
                prefix = word[:length]
                if prefix not in node_of:
                    node_of[prefix] = len(phones)
                    phones.append(word[length - 1])
                    parents.append(parent)
                parent = node_of[prefix]
            ends[parent] = math.log(counts[word] / total)
        num_tree_nodes = len(phones)
        enter_V, bigram_VV, leave_V = _phone_loop(counts, num_phones)
        ends |= {num_tree_nodes + p: float(leave_V[p]) for p in range(num_phones)}
        end_nodes = torch.tensor(sorted(ends))
        return LexiconTree(
            torch.tensor(phones + list(range(num_phones))),
            torch.tensor(parents + [-1] * num_phones),
            end_nodes,
            torch.tensor([ends[int(n)] for n in end_nodes], dtype=torch.float32),
            num_tree_nodes,
            torch.from_numpy(enter_V + math.log(self.unknown_word)).float(),
            torch.from_numpy(bigram_VV).float(),
        )

    def decode(
        self,
        tree: LexiconTree,
        scores: Mapping[str, Float32Array],
        *,
        num_threads: int = 1,
        progress: Callable[[], None] = lambda: None,
    ) -> dict[str, Alignment]:
        """The best alignment of each utterance; `scores` (T, V) are scaled log likelihoods.

        `num_threads` batches are searched at a time, which changes no result.
        """
        ids = sorted(scores, key=lambda i: -len(scores[i]))
        batches = [ids[k : k + self.batch_size] for k in range(0, len(ids), self.batch_size)]

        def decode(batch: list[str]) -> dict[str, Alignment]:
            with torch.inference_mode():
                return self._decode_batch(tree, {i: scores[i] for i in batch})

        found: dict[str, Alignment] = {}
        with ThreadPoolExecutor(
            num_threads, initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            for of_batch in pool.map(decode, batches):
                found.update(of_batch)
                progress()
        return {i: found[i] for i in scores}

    def _decode_batch(
        self, tree: LexiconTree, scores: Mapping[str, Float32Array]
    ) -> dict[str, Alignment]:
        lengths = [len(s) for s in scores.values()]
        padded_TBV = torch.nn.utils.rnn.pad_sequence(
            [self.acoustic_scale * torch.from_numpy(np.array(s)) for s in scores.values()]
        )
        frames_TVB = padded_TBV.transpose(1, 2).contiguous()
        num_frames, num_phones, batch = frames_TVB.shape
        num_tree = tree.num_tree_nodes
        num_nodes = len(tree.phone_N)
        roots = torch.nonzero(tree.parent_N[:num_tree] < 0)[:, 0]
        parent_N = tree.parent_N[:num_tree].clamp(min=0)
        end_scores = (self.lm_scale * tree.end_scores + self.word_score)[:, None]
        loop_enter_V1 = self.lm_scale * tree.loop_enter_V[:, None]
        loop_bigram_VV1 = self.lm_scale * tree.loop_bigram_VV[:, :, None]

        # what a node was entered from: 0 itself, 1 its parent or the root, 2 another loop node
        entered_TNB = np.zeros((num_frames, num_nodes, batch), dtype=np.uint8)
        loop_from_TVB = np.zeros((num_frames, num_phones, batch), dtype=np.int16)
        word_end_TB = np.zeros((num_frames, batch), dtype=np.int64)
        root_TB = torch.empty(num_frames, batch)
        best_NB = torch.full((num_nodes, batch), _NEVER)
        best_NB[roots] = 0.0
        best_NB[num_tree:] = loop_enter_V1
        best_NB += frames_TVB[0].index_select(0, tree.phone_N)
        enter_NB = torch.empty_like(best_NB)
        for t in range(num_frames):
            if t > 0:
                torch.index_select(best_NB, 0, parent_N, out=enter_NB[:num_tree])
                enter_NB[roots] = root_TB[t - 1]
                from_loop_VB, source_VB = (best_NB[num_tree:, None] + loop_bigram_VV1).max(dim=0)
                from_root_VB = root_TB[t - 1] + loop_enter_V1
                torch.maximum(from_loop_VB, from_root_VB, out=enter_NB[num_tree:])
                is_entered_NB = enter_NB > best_NB
                entered_TNB[t] = is_entered_NB.numpy()
                entered_TNB[t, num_tree:] += (
                    is_entered_NB[num_tree:] & (from_loop_VB > from_root_VB)
                ).numpy()
                loop_from_TVB[t] = source_VB.numpy()
                torch.maximum(best_NB, enter_NB, out=best_NB)
                best_NB += frames_TVB[t].index_select(0, tree.phone_N)
            root_TB[t], end_B = (best_NB.index_select(0, tree.end_nodes) + end_scores).max(dim=0)
            word_end_TB[t] = tree.end_nodes[end_B].numpy()
        trace = _Trace(
            tree.phone_N.numpy(),
            tree.parent_N.numpy(),
            num_tree,
            entered_TNB,
            loop_from_TVB,
            word_end_TB,
        )
        return {
            utterance_id: trace.back(row, length, float(root_TB[length - 1, row]))
            for row, (utterance_id, length) in enumerate(zip(scores, lengths, strict=True))
        }


@dataclass(frozen=True)
class _Trace:
    """Back-pointers of one batch."""

    phone_N: np.ndarray
    parent_N: np.ndarray
    num_tree: int
    entered_TNB: np.ndarray
    loop_from_TVB: np.ndarray
    word_end_TB: np.ndarray

    def back(self, row: int, length: int, score: float) -> Alignment:
        node = int(self.word_end_TB[length - 1, row])
        phones = np.empty(length, dtype=np.int32)
        starts = [0]
        for t in range(length - 1, -1, -1):
            phones[t] = self.phone_N[node]
            how = self.entered_TNB[t, node, row] if t else 0
            if how == 0:
                continue
            starts.append(t)
            if how == 2:
                node = self.num_tree + int(self.loop_from_TVB[t, node - self.num_tree, row])
            elif self.parent_N[node] >= 0:
                node = int(self.parent_N[node])
            else:
                node = int(self.word_end_TB[t - 1, row])
        return Alignment(phones, np.array(sorted(starts), dtype=np.int32), score)


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
