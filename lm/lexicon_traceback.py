"""From what a lexicon search kept to the phone at every frame, for a batch of utterances at once.

A word's scores follow from its phones, the frames and the root's scores alone, by the same sums as
in the search: so the word that ends with a frame is searched once more, by itself, to learn where
it and its phones began. It is looked for among the last frames first; had it begun before them, its
score would be less than the root's.

Axes: B batch, T frames, V phones, R words looked for at once, D the last frames, L phones of the
longest of these words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lm.lexicon_forward import NEVER, Searched, Weights
from lm.lexicon_tree import LexiconTree
from unsup_asr.types import Float32Array, Int32Array

_FRAMES_BACK = 128  # where words are looked for first: they are hardly ever longer


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


def trace_back(
    tree: LexiconTree,
    weights: Weights,
    searched: Searched,
    frames_TVB: Float32Array,
    lengths: Sequence[int],
    *,
    frames_back: int = _FRAMES_BACK,
) -> list[Alignment]:
    """The best alignment of each utterance, by its number of frames; `frames_TVB` as searched."""
    traces = _Traces(tree, weights, searched, frames_TVB, lengths)
    while (rows := np.flatnonzero(traces.last_B >= 0)).size:
        is_loop = traces.end_nodes(rows) >= tree.num_tree_nodes
        for row in rows[is_loop].tolist():
            traces.follow_loop(row)
        rows, back = rows[~is_loop], frames_back
        while rows.size:
            rows, back = traces.find_words(rows, back), 4 * back
    return [
        Alignment(
            traces.phones_TB[:length, b].copy(),
            np.flatnonzero(traces.is_start_TB[:length, b]).astype(np.int32),
            float(searched.root_TB[length - 1, b]),
        )
        for b, length in enumerate(lengths)
    ]


class _Traces:
    """Paths of all utterances, known from `last_B` + 1 on."""

    def __init__(
        self,
        tree: LexiconTree,
        weights: Weights,
        searched: Searched,
        frames_TVB: Float32Array,
        lengths: Sequence[int],
    ) -> None:
        num_frames, self._num_phones, batch = frames_TVB.shape
        self._num_tree_nodes = tree.num_tree_nodes
        self._phone_N = tree.phone_N.numpy()
        self._parent_N = tree.parent_N.numpy()
        self._end_nodes = tree.end_nodes.numpy()
        self._end_scores = (weights.lm_scale * tree.end_scores + weights.word_score).numpy()
        self._searched = searched
        self._frames_TVB = frames_TVB
        self.last_B = np.array(lengths) - 1
        self.phones_TB = np.zeros((num_frames, batch), dtype=np.int32)
        self.is_start_TB = np.zeros((num_frames, batch), dtype=bool)

    def end_nodes(self, rows: np.ndarray) -> np.ndarray:
        """Where the words end that are looked for next."""
        return self._searched.end_TB[self.last_B[rows], rows]

    def follow_loop(self, row: int) -> None:
        """One word outside the lexicon, by its back-pointers."""
        t = int(self.last_B[row])
        phone = int(self._searched.end_TB[t, row]) - self._num_tree_nodes
        while True:
            self.phones_TB[t, row] = phone
            pointer = int(self._searched.loop_TVB[t, phone, row]) if t else self._num_phones + 1
            if pointer:
                self.is_start_TB[t, row] = True
            t -= 1
            if pointer > self._num_phones:
                break
            if pointer:
                phone = pointer - 1
        self.last_B[row] = t

    def find_words(self, rows: np.ndarray, num_back: int) -> np.ndarray:
        """Rows whose word began longer ago than so many frames; those of the others are known."""
        last_R = self.last_B[rows]
        num_back = min(num_back, int(last_R.max()) + 1)
        nodes_R = self.end_nodes(rows)
        phones_RL, length_R = self._spelled(nodes_R)
        time_RD = last_R[:, None] + np.arange(1 - num_back, 1)
        frames_RDL = self._frames_TVB[
            time_RD.clip(min=0)[:, :, None], phones_RL[:, None, :], rows[:, None, None]
        ]
        before_RD = self._searched.root_TB[(time_RD - 1).clip(min=0), rows[:, None]]
        before_RD = np.where(time_RD > 0, before_RD, np.where(time_RD == 0, 0.0, NEVER))
        score_R, entered_RDL = _search_words(frames_RDL, before_RD.astype(np.float32), length_R)
        score_R += self._end_scores[np.searchsorted(self._end_nodes, nodes_R)]
        is_found_R = (score_R == self._searched.root_TB[last_R, rows]) | (num_back > last_R)
        self._follow(
            rows[is_found_R],
            phones_RL[is_found_R],
            length_R[is_found_R],
            entered_RDL[is_found_R],
        )
        return rows[~is_found_R]

    def _spelled(self, nodes_R: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Phones (R, L) of the words that end in nodes, in order, and how many they are."""
        words: list[list[int]] = []
        for node in nodes_R.tolist():
            word: list[int] = []
            while node >= 0:
                word.append(int(self._phone_N[node]))
                node = int(self._parent_N[node])
            words.append(word[::-1])
        length_R = np.array([len(word) for word in words])
        phones_RL = np.zeros((len(words), length_R.max()), dtype=np.int64)
        for r, word in enumerate(words):
            phones_RL[r, : len(word)] = word
        return phones_RL, length_R

    def _follow(
        self, rows: np.ndarray, phones_RL: np.ndarray, length_R: np.ndarray, entered_RDL: np.ndarray
    ) -> None:
        """Write down each word's phones, from its end to its beginning."""
        place_R = length_R - 1
        here = np.arange(len(rows))
        for d in range(entered_RDL.shape[1] - 1, -1, -1):
            t = self.last_B[rows[here]]
            self.phones_TB[t, rows[here]] = phones_RL[here, place_R[here]]
            is_entered = entered_RDL[here, d, place_R[here]]
            self.is_start_TB[t, rows[here]] = is_entered
            place_R[here] -= is_entered
            self.last_B[rows[here]] -= 1
            here = here[place_R[here] >= 0]
            if not here.size:
                break


def _search_words(
    frames_RDL: np.ndarray, before_RD: np.ndarray, length_R: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Score of each word at its end, and whether each phone was entered with a frame (R, D, L)."""
    entered_RDL = np.zeros(frames_RDL.shape, dtype=bool)
    score_RL = np.full(frames_RDL[:, 0].shape, NEVER, dtype=np.float32)
    enter_RL = np.empty_like(score_RL)
    for d in range(frames_RDL.shape[1]):
        enter_RL[:, 0] = before_RD[:, d]
        enter_RL[:, 1:] = score_RL[:, :-1]
        np.greater(enter_RL, score_RL, out=entered_RDL[:, d])
        np.maximum(score_RL, enter_RL, out=score_RL)
        score_RL += frames_RDL[:, d]
    return score_RL[np.arange(len(score_RL)), length_R - 1], entered_RDL
