"""Batches of waveforms: so many seconds an update, with what is masked of them.

Axes: B rows of a pass, N samples, T frames, D dims.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from unsup_asr import compute
from unsup_asr.acoustic.batches import Batch, bounded_batches, made_ahead, padded
from unsup_asr.acoustic.objectives import CTC, Targets
from unsup_asr.acoustic.processes import num_ranks, rank
from unsup_asr.protocols import Augmentation, FineTunable
from unsup_asr.speech.waveforms import Waveforms
from unsup_asr.types import BoolArray


@dataclass(frozen=True)
class SpanMasks:
    """Spans of `width` steps, so many that about `share` of the steps were in one if none met.

    Baevski et al. 2020, as fairseq draws them for fine-tuning: starts differ, spans may meet.
    """

    share: float
    width: int

    def drawn(self, num_steps: int, rng: np.random.Generator) -> BoolArray:
        """(num_steps,), True in a span."""
        is_masked = np.zeros(num_steps, dtype=bool)
        if self.share == 0:
            return is_masked
        count = int(self.share * num_steps / self.width + rng.random())
        last = max(1, num_steps - self.width)  # where a span may begin
        for start in rng.choice(last, size=min(count, last), replace=False).tolist():
            is_masked[start : start + self.width] = True
        return is_masked


@dataclass(frozen=True)
class WavePass:
    """This process's rows of what goes through the network at once; all but lengths on the device.

    A process may have none.
    """

    waves_BN: Tensor
    lengths: tuple[int, ...]
    augmentation: Augmentation
    targets: Targets


@dataclass(frozen=True, kw_only=True)
class WaveBatches:
    """How recordings become batches; randomness is that of the generator alone."""

    waveforms: Waveforms
    ids: Sequence[str]
    objective: CTC
    upstream: FineTunable
    batch_samples: int  # padded ones
    pass_samples: int
    time_masks: SpanMasks
    channel_masks: SpanMasks

    def of_epoch(self, rng: np.random.Generator) -> Iterator[Batch[WavePass]]:
        """Each utterance once; one thread reads batches while others are learned from."""
        noise = rng.uniform(0.9, 1.1, size=len(self.ids))
        lengths = self.waveforms.lengths
        noisy = {i: round(lengths[i] * n) for i, n in zip(self.ids, noise, strict=True)}
        batches = list(bounded_batches(noisy, self.batch_samples))
        chosen = (batches[j] for j in rng.permutation(len(batches)))
        yield from made_ahead(partial(self._batch, rng=rng), chosen)

    def _batch(self, ids: Sequence[str], *, rng: np.random.Generator) -> Batch[WavePass]:
        lengths = {i: self.waveforms.lengths[i] for i in ids}
        passes = [self._pass(own, rng) for own in bounded_batches(lengths, self.pass_samples)]
        return Batch(passes, sum(map(self.objective.weight, ids)))

    def _pass(self, ids: Sequence[str], rng: np.random.Generator) -> WavePass:
        lengths = [self.waveforms.lengths[i] for i in ids]
        longest = max(lengths)
        num_frames = [self.upstream.num_frames(length) for length in lengths]
        is_masked_BT = np.zeros((len(ids), max(num_frames)), dtype=bool)
        for row_T, length in zip(is_masked_BT, num_frames, strict=True):
            row_T[:length] = self.time_masks.drawn(length, rng)
        is_masked_BD = np.stack([self.channel_masks.drawn(self.upstream.dim, rng) for _ in ids])
        seed = int(rng.integers(2**48))
        own = slice(rank(), None, num_ranks())
        rows = [self.waveforms[i] for i in ids[own]]
        augmentation = Augmentation(
            is_masked_BT=compute.moved(torch.from_numpy(is_masked_BT[own])),
            is_masked_BD=compute.moved(torch.from_numpy(is_masked_BD[own])),
            seed=seed,
            num_rows=len(ids),
            first_row=rank(),
            row_step=num_ranks(),
        )
        targets = self.objective.targets(ids[own], num_frames[own], max(num_frames))
        return WavePass(
            compute.moved(padded(rows, (longest,))),
            tuple(map(len, rows)),
            augmentation,
            targets.moved(),
        )
