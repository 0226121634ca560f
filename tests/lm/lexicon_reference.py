"""The lexicon search as it is defined: a back-pointer for every node and frame of one utterance."""

from __future__ import annotations

import numpy as np
import torch

from lm.lexicon_tree import LexiconTree
from lm.lexicon_viterbi import LexiconViterbi

NEVER = -1e30


def search(
    viterbi: LexiconViterbi, tree: LexiconTree, scores_TV: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """The phone of every frame, the frames where phones start, the score.

    Of equal ways a node stays rather than is entered, a loop node is entered from the root rather
    than from the loop, and the first of equal words or phones is taken.
    """
    frames_TV = viterbi.acoustic_scale * torch.from_numpy(scores_TV)
    num_frames, num_tree = len(frames_TV), tree.num_tree_nodes
    roots_N = torch.nonzero(tree.parent_N[:num_tree] < 0)[:, 0]
    end_scores = viterbi.lm_scale * tree.end_scores + viterbi.word_score
    loop_enter_V = viterbi.lm_scale * tree.loop_enter_V
    best_N = torch.full((len(tree.phone_N),), NEVER)
    root = torch.tensor(0.0)
    entered: list[np.ndarray] = []
    loop_from: list[np.ndarray] = []
    word_end: list[int] = []
    for frame_V in frames_TV:
        enter_N = torch.empty_like(best_N)
        enter_N[:num_tree] = best_N[tree.parent_N[:num_tree].clamp(min=0)]
        enter_N[roots_N] = root
        from_loop_VV = best_N[num_tree:, None] + viterbi.lm_scale * tree.loop_bigram_VV
        from_loop_V, source_V = from_loop_VV.max(dim=0)
        from_root_V = root + loop_enter_V
        enter_N[num_tree:] = torch.maximum(from_loop_V, from_root_V)
        how_N = (enter_N > best_N).numpy().astype(int)
        how_N[num_tree:] += how_N[num_tree:] & (from_loop_V > from_root_V).numpy()
        entered.append(how_N)
        loop_from.append(source_V.numpy())
        best_N = torch.maximum(best_N, enter_N) + frame_V[tree.phone_N]
        root, end = (best_N[tree.end_nodes] + end_scores).max(dim=0)
        word_end.append(int(tree.end_nodes[end]))
    phones_T = np.empty(num_frames, dtype=np.int32)
    starts: list[int] = []
    node = word_end[-1]
    for t in range(num_frames - 1, -1, -1):
        phones_T[t] = tree.phone_N[node]
        how = entered[t][node]
        if how == 0:
            continue
        starts.append(t)
        if how == 2:
            node = num_tree + int(loop_from[t][node - num_tree])
        elif tree.parent_N[node] >= 0:
            node = int(tree.parent_N[node])
        elif t:
            node = word_end[t - 1]
    return phones_T, np.array(starts[::-1], dtype=np.int32), float(root)
