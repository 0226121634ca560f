"""Batches of an epoch: drawn, varied, padded, and on the device before they are wanted.

A batch is what one update learns from. What of it goes through the network at once is a pass, of so
many padded frames: a batch that needs more is several passes.

Axes: B rows of a pass, T frames, D dims.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from unsup_asr import compute
from unsup_asr.acoustic.augment import bent_times, resampled
from unsup_asr.acoustic.network import num_output_frames
from unsup_asr.acoustic.objectives import Objective, Targets
from unsup_asr.acoustic.processes import num_ranks, rank
from unsup_asr.formats.warps import Warps
from unsup_asr.lookahead import map_ahead
from unsup_asr.types import Float32Array, Float64Array

_AHEAD = 2  # batches that wait on the device
_Pass = TypeVar("_Pass")
_Batch = TypeVar("_Batch")


@dataclass(frozen=True)
class Pass:
    """This process's rows of what goes through the network at once, `num_rows` with all others'.

    `masked_B2` has the first frame that is masked and the first that is not any more.
    """

    num_rows: int
    features_BTD: Tensor
    lengths_B: Tensor
    masked_B2: Tensor
    targets: Targets


@dataclass(frozen=True)
class Batch(Generic[_Pass]):
    """What one update learns from; `weight` is that of all its utterances, in phones or frames."""

    passes: Sequence[_Pass]
    weight: int


@dataclass(frozen=True, kw_only=True)
class Batches:
    """How utterances become batches; randomness is that of the generator alone."""

    features: Mapping[str, Float32Array]
    lengths: Mapping[str, int]  # of the utterances to learn from
    objective: Objective
    stack: int
    batch_size: int
    pass_frames: int
    max_masked_frames: int
    max_stretch: float
    warps: Warps | None = None  # one of which each utterance is heard through

    def of_epoch(self, rng: np.random.Generator) -> Iterator[Batch[Pass]]:
        """Each utterance once; one thread makes batches while others are learned from."""
        chosen = _similar_lengths(self.lengths, self.batch_size, rng)
        yield from made_ahead(partial(self._batch, rng=rng), chosen)

    def _batch(self, ids: Sequence[str], *, rng: np.random.Generator) -> Batch[Pass]:
        times = {i: self._times(i, rng) for i in ids}
        lengths = {i: self.lengths[i] if (t := times[i]) is None else len(t) for i in ids}
        masked = {i: self._masked(lengths[i], rng) for i in ids}
        warps = {i: self._warp(rng) for i in ids}
        is_small = len(ids) * max(lengths.values()) <= self.pass_frames
        groups = [ids] if is_small else bounded_batches(lengths, self.pass_frames)
        return Batch(
            [self._pass(group, times, lengths, masked, warps) for group in groups],
            sum(map(self.objective.weight, ids)),
        )

    def _times(self, utterance_id: str, rng: np.random.Generator) -> Float64Array | None:
        """Where its new frames are among the old; None where time is left as it is."""
        if self.max_stretch == 1:
            return None
        times_T = bent_times(self.lengths[utterance_id], self.max_stretch, rng)
        fits = self.objective.fits(utterance_id, num_output_frames(len(times_T), self.stack))
        return times_T if fits else None

    def _warp(self, rng: np.random.Generator) -> int:
        return 0 if self.warps is None else int(rng.integers(len(self.warps.factors_W)))

    def _masked(self, length: int, rng: np.random.Generator) -> tuple[int, int]:
        if not self.max_masked_frames:
            return 0, 0
        width = int(rng.integers(0, self.max_masked_frames + 1))
        start = int(rng.integers(0, max(1, length - width)))
        return start, start + width

    def _pass(
        self,
        ids: Sequence[str],
        times: Mapping[str, Float64Array | None],
        lengths: Mapping[str, int],
        masked: Mapping[str, tuple[int, int]],
        warps: Mapping[str, int],
    ) -> Pass:
        own = ids[rank() :: num_ranks()]
        longest = max(lengths[i] for i in ids)
        rows = []
        for utterance_id in own:
            x_TD = np.asarray(self.features[utterance_id])
            if (times_T := times[utterance_id]) is not None:
                x_TD = resampled(x_TD, times_T)
            if self.warps is not None:
                x_TD = self.warps.of(x_TD, warps[utterance_id])
            rows.append(x_TD)
        x_BTD = padded(rows, (longest, self.features[ids[0]].shape[1]))
        targets = self.objective.targets(
            own,
            [num_output_frames(lengths[i], self.stack) for i in own],
            num_output_frames(longest, self.stack),
        )
        return Pass(
            len(ids),
            compute.moved(x_BTD),
            compute.moved(torch.tensor([lengths[i] for i in own], dtype=torch.long)),
            compute.moved(torch.tensor([masked[i] for i in own], dtype=torch.long).view(-1, 2)),
            targets.moved(),
        )


def made_ahead(
    make: Callable[[Sequence[str]], _Batch], chosen: Iterable[Sequence[str]]
) -> Iterator[_Batch]:
    """What `make` gives for each group of utterances: in one thread, while the caller learns."""
    with ThreadPoolExecutor(1, initializer=compute.join) as pool:
        yield from map_ahead(pool, make, chosen, ahead=_AHEAD)


def padded(rows: Sequence[Float32Array], shape: tuple[int, ...]) -> Tensor:
    """Rows, each (T, D) or (N,), with zeros behind them: (B, *shape), on the CPU."""
    padded_B = torch.zeros(len(rows), *shape)
    for into, row in zip(padded_B.numpy(), rows, strict=True):
        into[: len(row)] = row
    return padded_B


def bounded_batches(lengths: Mapping[str, int], max_frames: int) -> Iterator[list[str]]:
    """Utterances by length, in groups of so many padded frames, or of one utterance."""
    batch: list[str] = []
    for utterance_id in sorted(lengths, key=lambda i: lengths[i]):
        if batch and (len(batch) + 1) * lengths[utterance_id] > max_frames:
            yield batch
            batch = []
        batch.append(utterance_id)
    if batch:
        yield batch


def _similar_lengths(
    lengths: Mapping[str, int],
    batch_size: int,
    rng: np.random.Generator,
) -> list[list[str]]:
    """Batches of similar length in random order; noise on the lengths mixes their members."""
    ids = list(lengths)
    noise = rng.uniform(0.9, 1.1, size=len(ids))
    order = np.argsort([lengths[i] * n for i, n in zip(ids, noise, strict=True)])
    batches = [[ids[j] for j in order[k : k + batch_size]] for k in range(0, len(ids), batch_size)]
    return [batches[j] for j in rng.permutation(len(batches))]
