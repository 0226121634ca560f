"""Viterbi beam search over frames with an n-gram table, for a batch of utterances at once.

Axes: B utterances, T frames, V symbols (phones, maybe blank), M phones tried in a frame,
K hypotheses, C candidates, S states of the language model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unsup_asr.types import Float32Array, Int64Array

NEVER = -1e30
NOTHING = -1  # the symbol before the first frame


@dataclass(frozen=True)
class SearchSpace:
    """What the search needs, on its device.

    `columns_P`: symbols that the language model scores, in the order of the tables' columns;
    `gain_SP`: what starting one adds to the score; `transparent`: symbols that the model does not
    see (blank, unknown silence), with what starting one adds.
    """

    columns_P: Tensor
    gain_SP: Tensor
    next_SP: Tensor
    end_S: Tensor
    start_state: int
    transparent: dict[int, float]


@dataclass(frozen=True)
class SearchPath:
    """The symbol of every frame, and the score with the end of the sentence."""

    symbols_T: Int64Array
    score: float


@dataclass(frozen=True)
class _Beam:
    """Hypotheses: score, state of the language model, symbol of the last frame."""

    score_BK: Tensor
    state_BK: Tensor
    symbol_BK: Tensor

    def first_rows(self, num_rows: int) -> _Beam:
        return _Beam(self.score_BK[:num_rows], self.state_BK[:num_rows], self.symbol_BK[:num_rows])


def search(
    space: SearchSpace,
    log_posteriors: Sequence[Float32Array],
    *,
    beam: int,
    nbest: int,
    phones_a_frame: int,
) -> list[list[SearchPath]]:
    """Best paths of utterances (T, V) that are sorted from long to short."""
    lengths = [len(scores_TV) for scores_TV in log_posteriors]
    num_utterances, num_frames = len(lengths), lengths[0]
    scores_TBV = padded(log_posteriors).to(space.columns_P.device)
    now = _Beam(
        torch.zeros(num_utterances, 1, device=scores_TBV.device),
        torch.full((num_utterances, 1), space.start_state, device=scores_TBV.device),
        torch.full((num_utterances, 1), NOTHING, device=scores_TBV.device),
    )
    parents_TBK = np.zeros((num_frames, num_utterances, beam), dtype=np.int16)
    symbols_TBK = np.zeros((num_frames, num_utterances, beam), dtype=np.int16)
    paths: list[list[SearchPath]] = [[] for _ in lengths]
    running = num_utterances
    for t in range(num_frames):
        now, parent_BK = _step(space, now, scores_TBV[t, :running], beam, phones_a_frame)
        width = parent_BK.shape[1]
        parents_TBK[t, :running, :width] = parent_BK.cpu().numpy()
        symbols_TBK[t, :running, :width] = now.symbol_BK.cpu().numpy()
        while running and lengths[running - 1] == t + 1:
            b = running = running - 1
            final_K = (now.score_BK[b] + space.end_S[now.state_BK[b]]).cpu().numpy()
            history = parents_TBK[: t + 1, b], symbols_TBK[: t + 1, b]
            paths[b] = _trace_back(final_K, *history, nbest=nbest)
        now = now.first_rows(running)
    return paths


def _step(
    space: SearchSpace, now: _Beam, scores_BV: Tensor, beam: int, phones_a_frame: int
) -> tuple[_Beam, Tensor]:
    """One frame: a hypothesis stays in its symbol, enters a transparent one or starts a phone."""
    num_utterances, width = now.score_BK.shape
    num_columns = space.gain_SP.shape[1]
    num_tried = min(phones_a_frame, num_columns)
    best_BM, column_BM = scores_BV[:, space.columns_P].topk(num_tried, dim=1)
    started_BM = space.columns_P[column_BM]
    cell_BKM = now.state_BK[:, :, None] * num_columns + column_BM[:, None, :]
    starts_BKM = space.gain_SP.view(-1)[cell_BKM]
    starts_BKM += now.score_BK[:, :, None]
    starts_BKM += best_BM[:, None, :]
    # the same symbol again would be a longer phone, which is the candidate that stays
    starts_BKM.masked_fill_(started_BM[:, None, :] == now.symbol_BK[:, :, None], NEVER)
    stays_BK = now.score_BK + scores_BV.gather(1, now.symbol_BK.clamp(min=0))
    candidates = [stays_BK.masked_fill(now.symbol_BK == NOTHING, NEVER)]
    symbols = [now.symbol_BK]
    for symbol, gain in space.transparent.items():
        enters_BK = now.score_BK + (scores_BV[:, symbol, None] + gain)
        candidates.append(enters_BK.masked_fill(now.symbol_BK == symbol, NEVER))
        symbols.append(torch.full_like(now.symbol_BK, symbol))
    num_still = len(candidates) * width  # candidates that leave the state as it is
    all_BC = torch.cat([*candidates, starts_BKM.view(num_utterances, -1)], dim=1)
    score_BC, choice_BC = all_BC.topk(min(2 * beam, all_BC.shape[1]), dim=1)

    is_start_BC = choice_BC >= num_still
    start_BC = (choice_BC - num_still).clamp(min=0)
    still_BC = choice_BC.clamp(max=num_still - 1)
    parent_BC = torch.where(is_start_BC, start_BC // num_tried, still_BC % width)
    state_BC = now.state_BK.gather(1, parent_BC)
    column_BC = column_BM.gather(1, start_BC % num_tried)
    next_BC = space.next_SP.view(-1)[state_BC * num_columns + column_BC]
    state_BC = torch.where(is_start_BC, next_BC, state_BC)
    symbol_BC = torch.cat(symbols, dim=1).gather(1, still_BC)
    symbol_BC = torch.where(is_start_BC, space.columns_P[column_BC], symbol_BC)

    key_BC = state_BC * (scores_BV.shape[1] + 1) + symbol_BC
    kept_BK, score_BK = best_of_each(score_BC, key_BC, beam)
    following = _Beam(score_BK, state_BC.gather(1, kept_BK), symbol_BC.gather(1, kept_BK))
    return following, parent_BC.gather(1, kept_BK)


def best_of_each(score_BC: Tensor, key_BC: Tensor, beam: int) -> tuple[Tensor, Tensor]:
    """Positions and scores of the best candidates with distinct keys; scores come sorted."""
    sorted_BC, order_BC = key_BC.sort(dim=1, stable=True)
    repeated_BC = torch.zeros_like(key_BC, dtype=torch.bool)
    repeated_BC[:, 1:] = sorted_BC[:, 1:] == sorted_BC[:, :-1]
    worse_BC = torch.zeros_like(repeated_BC).scatter(1, order_BC, repeated_BC)
    score_BK, kept_BK = score_BC.masked_fill(worse_BC, NEVER).topk(
        min(beam, score_BC.shape[1]), dim=1
    )
    return kept_BK, score_BK


def padded(log_posteriors: Sequence[Float32Array]) -> Tensor:
    """(T, B, V); what is past an utterance's end is never read. -inf becomes a large negative."""
    num_frames, num_symbols = log_posteriors[0].shape
    scores_TBV = np.zeros((num_frames, len(log_posteriors), num_symbols), dtype=np.float32)
    for b, scores_TV in enumerate(log_posteriors):
        np.maximum(scores_TV, -1e6, out=scores_TBV[: len(scores_TV), b], casting="same_kind")
    return torch.from_numpy(scores_TBV)


def _trace_back(
    final_K: NDArray[np.floating],
    parents_TK: NDArray[np.int16],
    symbols_TK: NDArray[np.int16],
    *,
    nbest: int,
) -> list[SearchPath]:
    paths: list[SearchPath] = []
    for k in np.argsort(-final_K, kind="stable")[:nbest]:
        if final_K[k] <= NEVER / 2:
            break
        symbols_T = np.empty(len(parents_TK), dtype=np.int64)
        position = int(k)
        for t in range(len(parents_TK) - 1, -1, -1):
            symbols_T[t] = symbols_TK[t, position]
            position = parents_TK[t, position]
        paths.append(SearchPath(symbols_T, float(final_K[k])))
    return paths
