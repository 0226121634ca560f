"""Beam search for phones over frame posteriors with a phone n-gram, many utterances at a time.

Hypotheses that share the language model's state and the symbol of their last frame are merged, the
better one kept (Viterbi). Axes: T frames, V phones, S states of the language model, P the phones
that it scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lm.arpa import read_arpa
from lm.beam_search import SearchPath, SearchSpace, search
from lm.ngram_table import build_ngram_table
from lm.score import file_digest
from unsup_asr.ranges import NonNegative, PositiveInt, Real
from unsup_asr.speech.runs import run_starts
from unsup_asr.types import Float32Array

_UTTERANCES_A_BATCH = 32


@dataclass(frozen=True)
class Decoded:
    """Phones, the frame where each starts, and the total score (natural logs)."""

    phones: tuple[str, ...]
    start_frames: tuple[int, ...]
    score: float


@dataclass(kw_only=True)
class BeamDecoder:
    """Options. Score: log posteriors + lm_weight x ln p(phones, end) + insertion_score a phone.

    `blank`: name of the CTC blank among the phones, None for posteriors without one, whose equal
    neighbours are one phone. `silence_token`: gets `silence_score` whenever one begins; where the
    language model does not know it, it is transparent to it. `phones_a_frame`: only so many best
    phones of a frame start new ones, None for all.
    """

    lm_path: str
    lm_weight: NonNegative = 1.0
    insertion_score: Real = 0.0
    beam: PositiveInt = 50
    nbest: PositiveInt = 1
    blank: str | None = None
    silence_token: str | None = None
    silence_score: Real = 0.0
    phones_a_frame: PositiveInt | None = 16
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.beam < 1 or not 1 <= self.nbest <= self.beam:
            raise ValueError(
                f"beam is {self.beam} and nbest {self.nbest}; expected 1 <= nbest <= beam"
            )
        self._table: tuple[str, tuple[str, ...], _Search] | None = None

    def decode(self, log_posteriors_TV: Float32Array, phones: Sequence[str]) -> list[Decoded]:
        """The best hypotheses of one utterance, at most `nbest`, best first."""
        return self.decode_batch([log_posteriors_TV], phones)[0]

    def decode_batch(
        self,
        log_posteriors: Sequence[Float32Array],
        phones: Sequence[str],
    ) -> list[list[Decoded]]:
        """As `decode` for many, batch after batch: four threads were five times slower than one."""
        search = self._search(tuple(phones))
        for i, scores_TV in enumerate(log_posteriors):
            check_posteriors(scores_TV, len(phones), i)
        by_length = sorted(range(len(log_posteriors)), key=lambda i: -len(log_posteriors[i]))
        batches = [
            by_length[start : start + _UTTERANCES_A_BATCH]
            for start in range(0, len(by_length), _UTTERANCES_A_BATCH)
        ]
        decoded: list[list[Decoded]] = [[] for _ in log_posteriors]

        def decode(batch: list[int]) -> None:
            found = search.run([log_posteriors[i] for i in batch])
            for i, hypotheses in zip(batch, found, strict=True):
                decoded[i] = hypotheses

        # torch's own threads cost more than they give on tensors of this size
        with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(decode, batches))
        return decoded

    def _search(self, phones: tuple[str, ...]) -> _Search:
        """Tables for these phones; built again when the model's bytes have changed."""
        digest = file_digest(Path(self.lm_path))
        if self._table is None or self._table[:2] != (digest, phones):
            self._table = (digest, phones, _Search(self, phones))
        return self._table[2]


def check_posteriors(scores_TV: Float32Array, num_phones: int, position: int) -> None:
    """ValueError unless the posteriors are (T, num_phones), have a frame, and no NaN."""
    if scores_TV.ndim != 2 or scores_TV.shape[1] != num_phones or len(scores_TV) == 0:
        raise ValueError(
            f"posteriors of utterance {position} have shape {scores_TV.shape}; expected "
            f"(frames, {num_phones}) with at least one frame"
        )
    if np.isnan(scores_TV).any():
        raise ValueError(f"posteriors of utterance {position} hold NaN; look at the model's output")


def _distinct(hypotheses: Iterable[Decoded], num: int) -> list[Decoded]:
    """The first `num` that differ in their phones: paths may differ in a blank alone."""
    found: dict[tuple[str, ...], Decoded] = {}
    for hypothesis in hypotheses:
        found.setdefault(hypothesis.phones, hypothesis)
        if len(found) == num:
            break
    return list(found.values())


class _Search:
    """The search space of one model and one list of phones."""

    def __init__(self, options: BeamDecoder, phones: tuple[str, ...]) -> None:
        for name, role in ((options.blank, "blank"), (options.silence_token, "silence_token")):
            if name is not None and name not in phones:
                raise ValueError(f"{role} {name!r} is not among the phones: {', '.join(phones)}")
        model = read_arpa(Path(options.lm_path))
        transparent: dict[int, float] = {}
        if options.blank is not None:
            transparent[phones.index(options.blank)] = 0.0
        silence = options.silence_token
        if silence is not None and silence not in model.vocabulary:
            transparent[phones.index(silence)] = options.silence_score
        columns = [i for i in range(len(phones)) if i not in transparent]
        table = build_ngram_table(model, [phones[i] for i in columns], source=options.lm_path)
        gain_SP = options.lm_weight * torch.from_numpy(table.log_probability_SV)
        gain_SP += options.insertion_score
        if silence is not None and silence in model.vocabulary:
            gain_SP[:, columns.index(phones.index(silence))] += options.silence_score
        self._options = options
        self._phones = phones
        self._blank = None if options.blank is None else phones.index(options.blank)
        self._space = SearchSpace(
            columns_P=torch.tensor(columns, device=options.device),
            gain_SP=gain_SP.to(options.device),
            next_SP=torch.from_numpy(table.next_state_SV).to(options.device, torch.int64),
            end_S=(options.lm_weight * torch.from_numpy(table.log_end_S)).to(options.device),
            start_state=table.start,
            transparent=transparent,
        )

    def run(self, log_posteriors: list[Float32Array]) -> list[list[Decoded]]:
        """Best hypotheses of utterances sorted from long to short."""
        options = self._options
        paths = search(
            self._space,
            log_posteriors,
            beam=options.beam,
            nbest=1 if options.nbest == 1 else options.beam,
            phones_a_frame=options.phones_a_frame or len(self._phones),
        )
        return [
            _distinct(map(self._decoded, of_utterance), options.nbest) for of_utterance in paths
        ]

    def _decoded(self, path: SearchPath) -> Decoded:
        symbols_T = path.symbols_T
        starts = run_starts(symbols_T)
        if self._blank is not None:
            starts = starts[symbols_T[starts] != self._blank]
        phones = tuple(self._phones[i] for i in symbols_T[starts])
        return Decoded(phones, tuple(starts.tolist()), path.score)
