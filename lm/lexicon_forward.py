"""The frame loop of the lexicon search: all nodes of a batch of utterances, one frame at a time.

A word depends on the words before it only by the score at the root where it begins. So no node
keeps a back-pointer: of each frame stay the root's score and the word that ended there, and
`lm.lexicon_traceback` finds where that word began by searching it alone. Only the phone loop, a few
dozen nodes, keeps back-pointers. Memory is nodes x utterances, and a few bytes a phone and frame.

Nothing in the loop is read by the host. Nodes are worked on in blocks that fit into a CPU core's
cache, the last first: a parent comes before its children, so each finds its parent as it was in the
frame before, and one array of scores is enough.

Axes: B batch, T frames, V phones, N nodes of the tree, E ends of words, G groups of them, S ends of
a group.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lm.lexicon_tree import LexiconTree
from unsup_asr import compute
from unsup_asr.types import Float32Array, Int32Array

NEVER = -1e30
_GROUP = 128  # ends of words whose best is found first
_BLOCK_BYTES = 2**21  # scores of a block, on a CPU
_BEGINNING = 0  # row of the root's score; node n is row n + 1


@dataclass(frozen=True)
class Weights:
    """Factors of all but the acoustic scores, which come scaled."""

    lm_scale: float
    word_score: float


@dataclass(frozen=True)
class Searched:
    """What is kept of a search, on the host.

    `loop_TVB`: where a loop node was entered from: 0 itself, 1..V the phone before, V + 1 the root.
    """

    root_TB: Float32Array  # the best score of all words that end with a frame
    end_TB: Int32Array  # the node of the last of them
    loop_TVB: NDArray[np.integer]


@dataclass(frozen=True)
class _Block:
    """Nodes that lie one after the other, and the words that end in them."""

    nodes: slice  # rows
    parent: Tensor  # rows
    phone: Tensor
    ends: Tensor  # rows; S x groups of this block, so that a group is a column
    end_scores: Tensor
    groups: slice


class LexiconSearch:
    """A tree on the device, laid out for batches of at most so many utterances."""

    def __init__(self, tree: LexiconTree, weights: Weights, *, batch_size: int) -> None:
        self._tree = tree
        where = compute.device()
        scores = weights.lm_scale * tree.end_scores + weights.word_score
        is_word = tree.end_nodes < tree.num_tree_nodes
        self._blocks, self._group_ends, self._group_scores = _blocks(
            tree, tree.end_nodes[is_word], scores[is_word], _rows_at_once(tree, batch_size)
        )
        self._scratch_rows = max(max(len(b.phone), len(b.ends)) for b in self._blocks)
        self._leave_V1 = scores[~is_word, None].to(where)
        self._enter_V1 = (weights.lm_scale * tree.loop_enter_V[:, None]).to(where)
        self._bigram_VV1 = (weights.lm_scale * tree.loop_bigram_VV[:, :, None]).to(where)

    def run(self, frames_TVB: Float32Array) -> Searched:
        """Search utterances (T, V, B); what follows an utterance's end changes nothing in it."""
        num_frames, num_phones, batch = frames_TVB.shape
        frames = compute.moved(torch.from_numpy(frames_TVB))
        where = frames.device
        root_TB = torch.empty(num_frames, batch, device=where)
        end_TB = torch.empty(num_frames, batch, dtype=torch.int32, device=where)
        pointer = torch.uint8 if num_phones + 1 < 256 else torch.int16
        loop_TVB = torch.empty(num_frames, num_phones, batch, dtype=pointer, device=where)
        best_NB = torch.full((self._tree.num_tree_nodes + 1, batch), NEVER, device=where)
        best_NB[_BEGINNING] = 0.0
        loop_VB = torch.full((num_phones, batch), NEVER, device=where)
        group_GB = torch.empty(len(self._group_ends), batch, device=where)
        scratch = torch.empty(2, self._scratch_rows, batch, device=where)
        for t in range(num_frames):
            loop_VB = self._loop_step(loop_VB, best_NB[_BEGINNING], frames[t], loop_TVB[t])
            for block in self._blocks:
                _block_step(block, best_NB, frames[t], group_GB, scratch)
            self._end_words(best_NB, loop_VB, group_GB, end_TB[t])
            root_TB[t] = best_NB[_BEGINNING]
        return Searched(root_TB.cpu().numpy(), end_TB.cpu().numpy(), loop_TVB.cpu().numpy())

    def _loop_step(self, loop_VB: Tensor, root_B: Tensor, frame_VB: Tensor, out: Tensor) -> Tensor:
        from_loop_VB, source_VB = (loop_VB[:, None] + self._bigram_VV1).max(dim=0)
        from_root_VB = root_B + self._enter_V1
        enter_VB = torch.maximum(from_loop_VB, from_root_VB)
        pointer_VB = (source_VB + 1).masked_fill_(from_loop_VB <= from_root_VB, len(loop_VB) + 1)
        out.copy_(pointer_VB.masked_fill_(enter_VB <= loop_VB, 0))
        return torch.maximum(loop_VB, enter_VB).add_(frame_VB)

    def _end_words(self, best_NB: Tensor, loop_VB: Tensor, group_GB: Tensor, out: Tensor) -> None:
        """The best word that ends in this frame, of equal ones the first: its score to the root."""
        found_B, group_B = group_GB.max(dim=0)
        rows_BS = self._group_ends.index_select(0, group_B)
        scores_BS = best_NB.gather(0, rows_BS.T).T + self._group_scores.index_select(0, group_B)
        first_B = scores_BS.max(dim=1).indices
        end_B = rows_BS.gather(1, first_B[:, None])[:, 0] - 1
        unknown_B, phone_B = (loop_VB + self._leave_V1).max(dim=0)
        out.copy_(torch.where(unknown_B > found_B, phone_B + self._tree.num_tree_nodes, end_B))
        torch.maximum(found_B, unknown_B, out=best_NB[_BEGINNING])


def bytes_at_once(tree: LexiconTree, num_frames: int, batch_size: int) -> int:
    """Most memory that a batch of utterances of so many frames takes while it is searched."""
    nodes = 4 * (tree.num_tree_nodes + 1)
    block = 4 * 4 * min(tree.num_tree_nodes, _rows_at_once(tree, batch_size))
    frame = (4 + 4 + 2) * tree.num_phones + 8  # scores here and on the device, pointers, root, word
    return batch_size * (nodes + block + frame * num_frames + 4 * 4 * tree.num_phones**2)


def _rows_at_once(tree: LexiconTree, batch_size: int) -> int:
    """A GPU works on all nodes at once."""
    if compute.device().type == "cpu":
        return max(512, _BLOCK_BYTES // (4 * batch_size))
    return tree.num_tree_nodes


def _blocks(
    tree: LexiconTree, end_nodes: Tensor, end_scores: Tensor, size: int
) -> tuple[list[_Block], Tensor, Tensor]:
    """Blocks of nodes, the last first; rows and scores (G, S) of all groups of ends.

    Groups that are not full repeat a row with a score that is never the best.
    """
    where = compute.device()
    blocks: list[_Block] = []
    rows_GS: list[Tensor] = []
    scores_GS: list[Tensor] = []
    num_groups = 0
    for first in range(0, tree.num_tree_nodes, size):
        last = min(first + size, tree.num_tree_nodes)
        low, high = torch.searchsorted(end_nodes, torch.tensor([first, last])).tolist()
        missing = -(high - low) % _GROUP
        rows = torch.cat([end_nodes[low:high], torch.full((missing,), first)]) + 1
        scores = torch.cat([end_scores[low:high], torch.full((missing,), -torch.inf)])
        rows_GS.append(rows.view(-1, _GROUP))
        scores_GS.append(scores.view(-1, _GROUP))
        groups = slice(num_groups, num_groups + len(rows_GS[-1]))
        num_groups = groups.stop
        blocks.append(
            _Block(
                slice(first + 1, last + 1),
                (tree.parent_N[first:last] + 1).int().to(where),
                tree.phone_N[first:last].int().to(where),
                rows_GS[-1].T.flatten().int().to(where),
                scores_GS[-1].T.reshape(-1, 1).to(where),
                groups,
            )
        )
    return blocks[::-1], torch.cat(rows_GS).to(where), torch.cat(scores_GS).to(where)


def _block_step(
    block: _Block, best_NB: Tensor, frame_VB: Tensor, group_GB: Tensor, scratch: Tensor
) -> None:
    """Stay in a node or come from its parent; then the best word end of each group."""
    own_NB = best_NB[block.nodes]
    enter_NB, heard_NB = scratch[0, : len(own_NB)], scratch[1, : len(own_NB)]
    torch.index_select(best_NB, 0, block.parent, out=enter_NB)
    torch.index_select(frame_VB, 0, block.phone, out=heard_NB)
    torch.maximum(own_NB, enter_NB, out=enter_NB)
    torch.add(enter_NB, heard_NB, out=own_NB)
    if len(block.ends):
        ended_EB = scratch[0, : len(block.ends)]
        torch.index_select(best_NB, 0, block.ends, out=ended_EB)
        ended_EB += block.end_scores
        torch.amax(ended_EB.view(_GROUP, -1), dim=0, out=group_GB[block.groups].view(-1))
