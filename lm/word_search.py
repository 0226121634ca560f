"""Viterbi beam search for words: a tree of pronunciations, an n-gram over words, frame posteriors.

A hypothesis stands at a tree node; where a word ends it also goes on at the root, with the language
model's score instead of the look-ahead. Axes: B utterances, T frames, V symbols, P phones, M phones
tried in a frame, K hypotheses, C candidates, H homophones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lm.beam_search import NEVER, NOTHING, best_of_each, padded
from lm.ngram_counts import END
from lm.word_model import ROOT, PronunciationTree, WordNgram
from unsup_asr.types import Float32Array, Int64Array

_UNFINISHED = -1e4  # for a hypothesis inside a word at the end: taken when there is no other
_NO_WORD = -1


@dataclass(frozen=True)
class WordSearchSpace:
    """`columns_P`: the symbol of each phone of the tree; blank and silence are symbols or None."""

    tree: PronunciationTree
    ngram: WordNgram
    columns_P: Tensor
    lm_weight: float
    word_score: float
    blank: int | None
    silence: int | None
    silence_score: float


@dataclass(frozen=True)
class WordPath:
    """The symbol of every frame; the word that ends with the phone starting there, or -1; score."""

    symbols_T: Int64Array
    words_T: Int64Array
    score: float

    def has_words_of(self, other: WordPath) -> bool:
        """Whether both are the same words, however they are said."""
        return np.array_equal(self.words_T[self.words_T >= 0], other.words_T[other.words_T >= 0])


@dataclass(frozen=True)
class _Beam:
    score_BK: Tensor
    node_BK: Tensor
    state_BK: Tensor  # of the language model
    symbol_BK: Tensor

    def first_rows(self, n: int) -> _Beam:
        return _Beam(self.score_BK[:n], self.node_BK[:n], self.state_BK[:n], self.symbol_BK[:n])


def search_words(
    space: WordSearchSpace,
    log_posteriors: Sequence[Float32Array],
    *,
    beam: int,
    phones_a_frame: int,
    nbest: int = 1,
) -> list[list[WordPath]]:
    """Best paths of each utterance (T, V), best first; they are sorted from long to short."""
    lengths = [len(scores_TV) for scores_TV in log_posteriors]
    num_utterances, num_frames = len(lengths), lengths[0]
    scores_TBV = padded(log_posteriors)
    one_BK = torch.ones(num_utterances, 1, dtype=torch.int64)
    now = _Beam(
        torch.zeros(num_utterances, 1),
        one_BK * ROOT,
        one_BK * space.ngram.start_state,
        one_BK * NOTHING,
    )
    history = np.zeros((3, num_frames, num_utterances, beam), dtype=np.int32)
    paths: list[list[WordPath]] = [[] for _ in lengths]
    running = num_utterances
    for t in range(num_frames):
        now, parent_BK, word_BK = _step(space, now, scores_TBV[t, :running], beam, phones_a_frame)
        for kept, values in enumerate((parent_BK, now.symbol_BK, word_BK)):
            history[kept, t, :running, : values.shape[1]] = values.numpy()
        while running and lengths[running - 1] == t + 1:
            running -= 1
            paths[running] = _finish(space, now, running, history[:, : t + 1, running], nbest)
        now = now.first_rows(running)
    return paths


def _step(
    space: WordSearchSpace, now: _Beam, scores_BV: Tensor, beam: int, phones_a_frame: int
) -> tuple[_Beam, Tensor, Tensor]:
    """One frame: the new hypotheses, their parents, and the words they complete."""
    width = now.score_BK.shape[1]
    still_BC, symbols_BC = _still(space, now, scores_BV)
    starts_BKM, node_BKM, column_BM = _starts(space, now, scores_BV, phones_a_frame)
    num_still, num_tried = still_BC.shape[1], column_BM.shape[1]
    all_BC = torch.cat([still_BC, starts_BKM.flatten(1)], dim=1)
    score_BC, choice_BC = all_BC.topk(min(2 * beam, all_BC.shape[1]), dim=1)
    is_start_BC = choice_BC >= num_still
    start_BC = (choice_BC - num_still).clamp(min=0)
    kept_still_BC = choice_BC.clamp(max=num_still - 1)
    parent_BC = torch.where(is_start_BC, start_BC // num_tried, kept_still_BC % width)
    state_BC = now.state_BK.gather(1, parent_BC)
    node_BC = torch.where(
        is_start_BC, node_BKM.flatten(1).gather(1, start_BC), now.node_BK.gather(1, parent_BC)
    )
    started_BC = space.columns_P[column_BM.gather(1, start_BC % num_tried)]
    symbol_BC = torch.where(is_start_BC, started_BC, symbols_BC.gather(1, kept_still_BC))

    ended = _word_ends(space, score_BC, node_BC, state_BC, is_start_BC)
    is_leaf_BC = is_start_BC & ~space.tree.is_inner_N[node_BC]
    score_BC = torch.cat([score_BC.masked_fill(is_leaf_BC, NEVER), ended.score_BC], dim=1)
    node_BC = torch.cat([node_BC, torch.full_like(ended.word_BC, ROOT)], dim=1)
    state_BC = torch.cat([state_BC, ended.state_BC], dim=1)
    word_BC = torch.cat([torch.full_like(parent_BC, _NO_WORD), ended.word_BC], dim=1)
    source_BC = torch.cat(
        [torch.arange(parent_BC.shape[1]).expand_as(parent_BC), ended.source_BC], 1
    )
    symbol_BC = symbol_BC.gather(1, source_BC)
    parent_BC = parent_BC.gather(1, source_BC)

    score_BC, order_BC = score_BC.topk(min(2 * beam, score_BC.shape[1]), dim=1)
    node_BC, state_BC = node_BC.gather(1, order_BC), state_BC.gather(1, order_BC)
    symbol_BC = symbol_BC.gather(1, order_BC)
    num_states = len(space.ngram.backoff_S)
    key_BC = (node_BC * num_states + state_BC) * (scores_BV.shape[1] + 1) + symbol_BC
    kept_BK, score_BK = best_of_each(score_BC, key_BC, beam)
    following = _Beam(
        score_BK,
        node_BC.gather(1, kept_BK),
        state_BC.gather(1, kept_BK),
        symbol_BC.gather(1, kept_BK),
    )
    kept_BK = order_BC.gather(1, kept_BK)
    return following, parent_BC.gather(1, kept_BK), word_BC.gather(1, kept_BK)


def _still(space: WordSearchSpace, now: _Beam, scores_BV: Tensor) -> tuple[Tensor, Tensor]:
    """Candidates that start no phone: the same symbol, blank, or silence between words."""
    stays_BK = now.score_BK + scores_BV.gather(1, now.symbol_BK.clamp(min=0))
    candidates = [stays_BK.masked_fill(now.symbol_BK == NOTHING, NEVER)]
    symbols = [now.symbol_BK]
    if space.blank is not None:
        enters_BK = now.score_BK + scores_BV[:, space.blank, None]
        candidates.append(enters_BK.masked_fill(now.symbol_BK == space.blank, NEVER))
        symbols.append(torch.full_like(now.symbol_BK, space.blank))
    if space.silence is not None:
        enters_BK = now.score_BK + (scores_BV[:, space.silence, None] + space.silence_score)
        barred_BK = (now.symbol_BK == space.silence) | (now.node_BK != ROOT)
        candidates.append(enters_BK.masked_fill(barred_BK, NEVER))
        symbols.append(torch.full_like(now.symbol_BK, space.silence))
    return torch.cat(candidates, dim=1), torch.cat(symbols, dim=1)


def _starts(
    space: WordSearchSpace, now: _Beam, scores_BV: Tensor, phones_a_frame: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Scores and nodes (B, K, M) of starting each tried phone, and the columns tried (B, M)."""
    tree = space.tree
    num_phones = tree.child_NP.shape[1]
    best_BM, column_BM = scores_BV[:, space.columns_P].topk(min(phones_a_frame, num_phones), dim=1)
    cell_BKM = now.node_BK[:, :, None] * num_phones + column_BM[:, None, :]
    node_BKM = tree.child_NP.view(-1)[cell_BKM]
    barred_BKM = space.columns_P[column_BM][:, None, :] == now.symbol_BK[:, :, None]
    barred_BKM |= node_BKM < 0
    node_BKM = node_BKM.clamp(min=0)
    starts_BKM = space.lm_weight * tree.ahead_N[node_BKM]
    starts_BKM += (now.score_BK - space.lm_weight * tree.ahead_N[now.node_BK])[:, :, None]
    starts_BKM += best_BM[:, None, :]
    return starts_BKM.masked_fill_(barred_BKM, NEVER), node_BKM, column_BM


@dataclass(frozen=True)
class _Ends:
    """Candidates at the root after a word; `source_BC` is the candidate that ended it."""

    score_BC: Tensor
    state_BC: Tensor
    word_BC: Tensor
    source_BC: Tensor


def _word_ends(
    space: WordSearchSpace, score_BC: Tensor, node_BC: Tensor, state_BC: Tensor, is_start_BC: Tensor
) -> _Ends:
    """For every candidate that starts a phone where words end, one candidate for each word."""
    tree = space.tree
    num_homophones = tree.word_NH.shape[1]
    word_BCH = tree.word_NH[node_BC]
    ends_BCH = (word_BCH >= 0) & (is_start_BC & (score_BC > NEVER / 2))[:, :, None]
    at = ends_BCH.nonzero(as_tuple=True)
    word = word_BCH[at]
    gain, state = space.ngram.look_up(state_BC[at[:2]], tree.lm_word[word])
    gain = space.lm_weight * (gain - tree.ahead_N[node_BC[at[:2]]]) + space.word_score
    ended_BCH = torch.full(ends_BCH.shape, NEVER)
    ended_BCH[at] = score_BC[at[:2]] + gain
    state_BCH = torch.zeros_like(word_BCH)
    state_BCH[at] = state
    source_BCH = torch.arange(score_BC.shape[1])[None, :, None].expand(
        *score_BC.shape, num_homophones
    )
    return _Ends(
        ended_BCH.flatten(1), state_BCH.flatten(1), word_BCH.flatten(1), source_BCH.flatten(1)
    )


def _finish(
    space: WordSearchSpace, now: _Beam, b: int, history: np.ndarray, nbest: int
) -> list[WordPath]:
    """The best paths of one utterance with </s>, no two of the same words; one that ends inside a
    word only where nothing else is left.
    """
    ngram = space.ngram
    end = torch.full_like(now.state_BK[b], ngram.word_ids[END])
    final_K = now.score_BK[b] + space.lm_weight * ngram.look_up(now.state_BK[b], end)[0]
    final_K = torch.where(now.node_BK[b] == ROOT, final_K, final_K + _UNFINISHED)
    order_K = final_K.argsort(descending=True, stable=True).tolist()
    paths = [_trace_back(history, order_K[0], float(final_K[order_K[0]]))]
    for k in order_K[1:]:
        is_whole = now.node_BK[b, k] == ROOT and now.score_BK[b, k] > NEVER / 2
        if len(paths) == nbest or not is_whole:
            break
        path = _trace_back(history, k, float(final_K[k]))
        if not any(path.has_words_of(other) for other in paths):
            paths.append(path)
    return paths


def _trace_back(history: np.ndarray, position: int, score: float) -> WordPath:
    num_frames = history.shape[1]
    symbols_T = np.empty(num_frames, dtype=np.int64)
    words_T = np.empty(num_frames, dtype=np.int64)
    for t in range(num_frames - 1, -1, -1):
        symbols_T[t], words_T[t] = history[1:, t, position]
        position = history[0, t, position]
    return WordPath(symbols_T, words_T, score)
