"""Fine-tuning: an upstream's network trained further, below a linear CTC head.

On pseudo-labels it is the last step of wav2vec-U (Baevski et al. 2021), on references the
supervised baseline: one class, one code path. The schedule is that of wav2vec 2.0 (Baevski et al.
2020; fairseq, examples/wav2vec/config/finetuning/vox_100h.yaml, whose numbers are the defaults).
The state of the last update is kept: nothing is chosen by references.

Axes: B batch, N samples, T frames, V outputs.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unsup_asr import compute
from unsup_asr.acoustic.batches import Batch
from unsup_asr.acoustic.checkpoint import Checkpoint, TrainingState
from unsup_asr.acoustic.objectives import CTC
from unsup_asr.acoustic.processes import check_alike, epoch_loss, rank, shared, sum_gradients
from unsup_asr.acoustic.wave_batches import SpanMasks, WaveBatches, WavePass
from unsup_asr.progress import note
from unsup_asr.protocols import FineTunable
from unsup_asr.ranges import (
    Fraction,
    NonNegativeInt,
    Positive,
    PositiveFraction,
    PositiveInt,
    Probability,
    Seed,
)
from unsup_asr.speech.waveforms import Waveforms
from unsup_asr.types import Int32Array

log = logging.getLogger(__name__)

_FIRST_SCALE = 0.01  # of the learning rate, before the first update


@dataclass(frozen=True, kw_only=True)
class Finetuning:
    """Schedule. `pass_seconds` of padded audio go through the network at once, in all processes
    together; those of a batch whose gradients are added are one update.
    """

    upstream: FineTunable = field(repr=False)
    updates: PositiveInt = 80_000
    head_updates: NonNegativeInt = 10_000  # the first ones, which train the head alone
    learning_rate: Positive = 3e-5
    warm_up: Fraction = 0.1  # of the updates: the rate grows
    hold: Fraction = 0.4  # of the updates: it stays; then it falls
    final_scale: PositiveFraction = 0.05
    batch_seconds: Positive = 1600.0
    pass_seconds: Positive = 80.0
    time_mask: Fraction = 0.5  # of the frames, if no spans met
    time_mask_frames: PositiveInt = 10
    channel_mask: Fraction = 0.5
    channel_mask_channels: PositiveInt = 64
    layer_drop: Probability = 0.1
    activation_dropout: Probability = 0.1
    gradient_checkpointing: bool = False
    seed: Seed = 0

    stack = 1  # of the network's outputs, each frame is one

    def __post_init__(self) -> None:
        if not isinstance(self.upstream, FineTunable):
            raise ValueError(
                f"upstream is a {type(self.upstream).__name__}, which cannot be fine-tuned; "
                "expected a network of transformers: TransformersUpstream or FairseqUpstream"
            )
        if self.warm_up + self.hold > 1:
            raise ValueError(
                f"warm_up is {self.warm_up} and hold {self.hold} of the updates; expected at most "
                "1 together"
            )
        if self.pass_seconds > self.batch_seconds:
            raise ValueError(
                f"pass_seconds is {self.pass_seconds}, batch_seconds {self.batch_seconds}; a pass "
                "is a part of a batch, expected at most as much"
            )

    @property
    def num_ticks(self) -> int:
        """How often `train_ctc` tells of progress."""
        return self.updates

    def rate(self, update: int) -> float:
        """Learning rate of an update, counted from 0: three phases."""
        rise, stay = self.warm_up * self.updates, self.hold * self.updates
        fall = self.updates - rise - stay
        if update < rise:
            return self.learning_rate * (_FIRST_SCALE + (1 - _FIRST_SCALE) * update / rise)
        if update < rise + stay:
            return self.learning_rate
        return self.learning_rate * self.final_scale ** ((update - rise - stay) / fall)

    def train_ctc(
        self,
        waveforms: Waveforms,
        targets: Mapping[str, Int32Array],
        *,
        num_phones: int,
        checkpoint: Path | None = None,
        num_processes: int = 1,
        progress: Callable[[], None] = lambda: None,
    ) -> tuple[Any, list[float]]:
        """A `CTCNetwork` (output 0 is the blank) and the mean loss per phone of each epoch.

        `targets` are phone ids from 0. Utterances with no phone, or with more than CTC can place
        in their frames, are left out and counted in the log; ValueError when none is left. The
        state after each epoch is kept in the file `checkpoint`, and training goes on from there.
        """
        objective = CTC(targets, num_phones)
        lengths = waveforms.lengths
        ids = objective.fitting({i: self.upstream.num_frames(lengths[i]) for i in targets})
        batches = self._batches(waveforms, ids, objective)
        return shared(num_processes, self._train, batches, checkpoint, progress=progress)

    def _batches(self, waveforms: Waveforms, ids: Sequence[str], objective: CTC) -> WaveBatches:
        return WaveBatches(
            waveforms=waveforms,
            ids=ids,
            objective=objective,
            upstream=self.upstream,
            batch_samples=round(self.batch_seconds * waveforms.sample_rate),
            pass_samples=round(self.pass_seconds * waveforms.sample_rate),
            time_masks=SpanMasks(self.time_mask, self.time_mask_frames),
            channel_masks=SpanMasks(self.channel_mask, self.channel_mask_channels),
        )

    def _train(
        self, batches: WaveBatches, checkpoint: Path | None, progress: Callable[[], None]
    ) -> tuple[Any, list[float]]:
        network = self.upstream.with_ctc_head(
            batches.objective.num_outputs,
            layer_drop=self.layer_drop,
            activation_dropout=self.activation_dropout,
            seed=self.seed,
        )
        network.to(compute.device()).train()
        if self.gradient_checkpointing:
            network.recompute_activations()
        state = TrainingState(
            network,
            torch.optim.Adam(
                network.trained_parameters(),
                lr=self.learning_rate,
                betas=(0.9, 0.98),
                fused=True,
            ),
            np.random.default_rng(self.seed),
            torch.Generator(compute.device()).manual_seed(self.seed),
        )
        kept = None if checkpoint is None else Checkpoint(checkpoint, self._fingerprint(batches))
        if kept is not None:
            kept.restore(state)
        check_alike(len(state.curve), "trained for epochs")
        for _ in range(state.num_updates):
            progress()
        while state.num_updates < self.updates:
            state.curve.append(self._epoch(batches, state, progress))
            note("loss", len(state.curve), state.curve[-1])
            if kept is not None and rank() == 0:
                kept.write(state)
        return network.eval(), state.curve

    def _epoch(
        self, batches: WaveBatches, state: TrainingState, progress: Callable[[], None]
    ) -> float:
        """The mean loss, read from the device once; an epoch ends early with the last update."""
        total = torch.zeros((), dtype=torch.float64, device=compute.device())
        count = 0
        left = self.updates - state.num_updates
        for batch in islice(batches.of_epoch(state.rng), left):
            total += self.update(state, batches.objective, batch)
            count += batch.weight
            progress()
        mean = epoch_loss(total, count, len(state.curve) + 1)
        log.info("update %d: loss %.3f", state.num_updates, mean)
        return mean

    def update(self, state: TrainingState, objective: CTC, batch: Batch[WavePass]) -> Tensor:
        """One step along the gradient of the batch's mean loss a phone; the sum over own rows.

        Gradients are summed over processes once, when all passes are done: which blocks have some
        differs from pass to pass, and beside an update one sum is nothing.
        """
        network, is_head_alone = state.network, state.num_updates < self.head_updates
        for group in state.optimizer.param_groups:
            group["lr"] = self.rate(state.num_updates)
            for parameter in group["params"]:
                parameter.grad = torch.zeros_like(parameter)
        total = torch.zeros((), dtype=torch.float64, device=compute.device())
        for part in batch.passes:
            if not part.lengths:
                continue
            found_BTV = network(
                part.waves_BN, part.lengths, part.augmentation, is_head_alone=is_head_alone
            )
            loss = objective.loss(found_BTV, part.targets)
            (loss / batch.weight).backward()
            total += loss.detach()
        sum_gradients(state.optimizer.param_groups[0]["params"])
        state.optimizer.step()
        state.num_updates += 1
        return total

    def _fingerprint(self, batches: WaveBatches) -> str:
        """Of the options, the upstream, and of which utterances there are."""
        lengths = [(i, batches.waveforms.lengths[i]) for i in batches.ids]
        what = repr((self, batches.objective.num_outputs, self.upstream.fingerprint(), lengths))
        return hashlib.sha256(what.encode()).hexdigest()[:16]
