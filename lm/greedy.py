"""The best symbol of each frame, runs merged. Axes: T frames, V phones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unsup_asr.speech.runs import run_edges
from unsup_asr.types import Float32Array


@dataclass(frozen=True)
class GreedyDecoded:
    """Phones; of each the frames [start, end) and the mean posterior over them (0 to 1)."""

    phones: tuple[str, ...]
    start_frames: tuple[int, ...]
    end_frames: tuple[int, ...]
    confidences: tuple[float, ...]


@dataclass(kw_only=True)
class GreedyDecoder:
    """No language model: runs of the best symbol; with `blank`, CTC's best path."""

    blank: str | None = None

    def decode_batch(
        self, log_posteriors: Sequence[Float32Array], phones: Sequence[str]
    ) -> list[list[GreedyDecoded]]:
        """The one hypothesis of each utterance."""
        return [[decode_greedy(p_TV, phones, blank=self.blank)] for p_TV in log_posteriors]


def decode_greedy_runs(log_posteriors_TV: Float32Array, phones: Sequence[str]) -> GreedyDecoded:
    """Runs of equal best phones, for posteriors without a blank."""
    return _runs(log_posteriors_TV, phones, skipped=None)


def decode_greedy_ctc(
    log_posteriors_TV: Float32Array, phones: Sequence[str], *, blank: str
) -> GreedyDecoded:
    """Runs of equal best symbols without the blank, which parts equal phones (Graves et al. 2006).

    A phone ends where its run ends; the blanks after it belong to none.
    """
    if blank not in phones:
        raise ValueError(f"blank {blank!r} is not among the phones: {', '.join(phones)}")
    return _runs(log_posteriors_TV, phones, skipped=list(phones).index(blank))


def decode_greedy(
    log_posteriors_TV: Float32Array, phones: Sequence[str], *, blank: str | None
) -> GreedyDecoded:
    """As one of the above, with or without a blank."""
    if blank is None:
        return decode_greedy_runs(log_posteriors_TV, phones)
    return decode_greedy_ctc(log_posteriors_TV, phones, blank=blank)


def _runs(
    log_posteriors_TV: Float32Array, phones: Sequence[str], *, skipped: int | None
) -> GreedyDecoded:
    if log_posteriors_TV.ndim != 2 or log_posteriors_TV.shape[1] != len(phones):
        raise ValueError(
            f"posteriors have shape {log_posteriors_TV.shape}; expected (frames, {len(phones)})"
        )
    if np.isnan(log_posteriors_TV).any():
        raise ValueError("posteriors hold NaN; look at the model's output")
    best_T = log_posteriors_TV.argmax(axis=1)
    edges = run_edges(best_T)
    starts, ends = edges[:-1], edges[1:]
    posterior_T = np.exp(log_posteriors_TV[np.arange(len(best_T)), best_T].astype(np.float64))
    totals = np.concatenate([[0.0], np.cumsum(posterior_T)])
    confidences = (totals[ends] - totals[starts]) / np.maximum(ends - starts, 1)
    symbols = best_T[starts]
    kept = np.arange(len(starts)) if skipped is None else np.flatnonzero(symbols != skipped)
    return GreedyDecoded(
        tuple(str(phones[i]) for i in symbols[kept]),
        tuple(starts[kept].tolist()),
        tuple(ends[kept].tolist()),
        tuple(np.minimum(confidences[kept], 1.0).tolist()),
    )
