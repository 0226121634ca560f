"""Training of an acoustic network: one loop, two losses (frame labels, CTC).

On pseudo-labels the CTC model is self-training, on references it is the supervised baseline: one
class, one code path, so that the two numbers differ by the labels alone.

Axes: B batch, T frames, D dims, V outputs.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from unsup_asr import compute
from unsup_asr.acoustic.batches import Batch, Batches, Pass
from unsup_asr.acoustic.checkpoint import Checkpoint, TrainingState
from unsup_asr.acoustic.network import AcousticNetwork, NetworkShape, num_output_frames
from unsup_asr.acoustic.objectives import CTC, FrameLabels, Objective
from unsup_asr.acoustic.processes import RowDraws, check_alike, epoch_loss, num_ranks, rank, shared
from unsup_asr.formats.warps import Warps
from unsup_asr.progress import note
from unsup_asr.ranges import (
    AtLeastOne,
    NonNegative,
    NonNegativeInt,
    Positive,
    PositiveFraction,
    PositiveInt,
    Probability,
    Seed,
    Warp,
)
from unsup_asr.types import Float32Array, Int32Array

_MAX_GRADIENT_NORM = 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class NetworkTraining:
    """Size and schedule; the learning rate is multiplied by `decay` after each epoch."""

    hidden: PositiveInt = 160
    kernel: PositiveInt = 5
    num_layers: PositiveInt = 2
    stack: PositiveInt = 2
    dropout: Probability = 0.2
    epochs: PositiveInt = 6
    batch_size: PositiveInt = 16  # utterances an update
    # Padded frames that go through the network at once. A batch that has more is several passes,
    # whose gradients are added; batch norm then sees one pass at a time.
    pass_frames: PositiveInt = 60_000
    learning_rate: Positive = 2e-3
    decay: PositiveFraction = 0.75
    # One mask of 0 to so many frames an utterance (SpecAugment).
    max_masked_frames: NonNegativeInt = 0
    noise: NonNegative = 0.0  # standard deviation of what is added to every feature
    max_stretch: AtLeastOne = 1.0  # of time, either way, piece by piece; CTC only
    max_warp: Warp = 1.0  # of frequencies, either way, by utterance, of features that can be warped
    seed: Seed = 0

    @property
    def num_ticks(self) -> int:
        """How often `train_ctc` tells of progress."""
        return self.epochs

    def train_ctc(
        self,
        features: Mapping[str, Float32Array],
        targets: Mapping[str, Int32Array],
        *,
        num_phones: int,
        warps: Warps | None = None,
        checkpoint: Path | None = None,
        num_processes: int = 1,
        progress: Callable[[], None] = lambda: None,
    ) -> tuple[AcousticNetwork, list[float]]:
        """A CTC model (output 0 is the blank) and the mean loss per phone of each epoch.

        `targets` are phone ids from 0. Utterances with no phone, or with more than CTC can place
        in their frames, are left out and counted in the log; ValueError when none is left. `warps`
        are the features' own, None of those that cannot be warped. The state after each epoch is
        kept in the file `checkpoint`, and training goes on from there.
        """
        objective = CTC(targets, num_phones)
        lengths = {i: len(features[i]) for i in targets}
        outputs = {i: num_output_frames(length, self.stack) for i, length in lengths.items()}
        fitting = {i: lengths[i] for i in objective.fitting(outputs)}
        batches = self._batches(features, fitting, objective, warps, max_stretch=self.max_stretch)
        return shared(num_processes, self._train, batches, checkpoint, progress=progress)

    def train_frames(
        self,
        features: Mapping[str, Float32Array],
        labels: Mapping[str, Int32Array],
        *,
        num_phones: int,
        warps: Warps | None = None,
        checkpoint: Path | None = None,
        num_processes: int = 1,
        progress: Callable[[], None] = lambda: None,
    ) -> tuple[AcousticNetwork, list[float]]:
        """A frame classifier and the mean cross-entropy of each epoch; otherwise as `train_ctc`.

        `labels` has one phone id for each output frame, ceil(T / stack) of them.
        """
        objective = FrameLabels(labels, num_phones)
        lengths = {i: len(features[i]) for i in labels}
        batches = self._batches(features, lengths, objective, warps, max_stretch=1.0)
        return shared(num_processes, self._train, batches, checkpoint, progress=progress)

    def _batches(
        self,
        features: Mapping[str, Float32Array],
        lengths: Mapping[str, int],
        objective: Objective,
        warps: Warps | None,
        *,
        max_stretch: float,
    ) -> Batches:
        if self.max_warp > 1 and warps is None:
            log.info("no other voices are heard: these features are of no upstream with a warp")
        return Batches(
            features=features,
            lengths=lengths,
            objective=objective,
            stack=self.stack,
            batch_size=self.batch_size,
            pass_frames=self.pass_frames,
            max_masked_frames=self.max_masked_frames,
            max_stretch=max_stretch,
            warps=None if warps is None or self.max_warp == 1 else warps.within(self.max_warp),
        )

    def _train(
        self, batches: Batches, checkpoint: Path | None, progress: Callable[[], None]
    ) -> tuple[AcousticNetwork, list[float]]:
        first = next(iter(batches.lengths))
        shape = NetworkShape(
            input_dim=batches.features[first].shape[1],
            num_outputs=batches.objective.num_outputs,
            hidden=self.hidden,
            kernel=self.kernel,
            num_layers=self.num_layers,
            stack=self.stack,
            dropout=self.dropout,
        )
        with torch.random.fork_rng(devices=[]):  # torch draws first weights of its own, replaced
            network = AcousticNetwork(shape, torch.Generator().manual_seed(self.seed))
        network.to(compute.device()).train()
        state = TrainingState(
            network,
            torch.optim.Adam(
                network.parameters(), lr=self.learning_rate, betas=(0.9, 0.98), fused=True
            ),
            np.random.default_rng(self.seed),
            torch.Generator(compute.device()).manual_seed(self.seed),
        )
        kept = None if checkpoint is None else Checkpoint(checkpoint, self._fingerprint(batches))
        if kept is not None:
            kept.restore(state)
        check_alike(len(state.curve), "trained for epochs")
        for _ in state.curve:
            progress()
        model = _in_parallel(network)
        for epoch in range(len(state.curve), self.epochs):
            state.optimizer.param_groups[0]["lr"] = self.learning_rate * self.decay**epoch
            state.curve.append(self._epoch(model, batches, state))
            note("loss", len(state.curve), state.curve[-1])
            if kept is not None and rank() == 0:
                kept.write(state)
            progress()
        return network.eval(), state.curve

    def _epoch(self, model: nn.Module, batches: Batches, state: TrainingState) -> float:
        """The mean loss, read from the device once."""
        total = torch.zeros((), dtype=torch.float64, device=compute.device())
        count = 0
        for batch in batches.of_epoch(state.rng):
            state.optimizer.zero_grad(set_to_none=True)
            total += self._gradients(model, batches.objective, batch, state.generator)
            nn.utils.clip_grad_norm_(model.parameters(), _MAX_GRADIENT_NORM)
            state.optimizer.step()
            count += batch.weight
        return epoch_loss(total, count, len(state.curve) + 1)

    def _gradients(
        self, model: nn.Module, objective: Objective, batch: Batch[Pass], generator: torch.Generator
    ) -> Tensor:
        """Add those of the batch's mean loss to the parameters; the sum over own rows."""
        total = torch.zeros((), dtype=torch.float64, device=compute.device())
        for number, part in enumerate(batch.passes, start=1):
            with _alone(model) if number < len(batch.passes) else contextlib.nullcontext():
                loss = objective.loss(self._outputs(model, part, generator), part.targets)
                (loss * num_ranks() / batch.weight).backward()  # what processes find is averaged
            total += loss.detach()
        return total

    def _outputs(self, model: nn.Module, part: Pass, generator: torch.Generator) -> Tensor:
        draws = RowDraws(generator, part.num_rows)
        x_BTD = part.features_BTD
        if self.noise:
            x_BTD = x_BTD + self.noise * draws.normal(x_BTD.shape)
        if self.max_masked_frames:
            frames_T = torch.arange(x_BTD.shape[1], device=x_BTD.device)
            starts_B1, ends_B1 = part.masked_B2[:, :1], part.masked_B2[:, 1:]
            is_masked_BT = (frames_T >= starts_B1) & (frames_T < ends_B1)
            x_BTD = x_BTD.masked_fill(is_masked_BT[..., None], 0.0)
        return model(x_BTD, part.lengths_B, draws)

    def _fingerprint(self, batches: Batches) -> str:
        """Of the options, and of which utterances there are."""
        what = repr((self, batches.objective.num_outputs, list(batches.lengths.items())))
        return hashlib.sha256(what.encode()).hexdigest()[:16]


def _in_parallel(network: AcousticNetwork) -> nn.Module:
    """What all processes of a training call; buffers are alike in all (SharedBatchNorm)."""
    if num_ranks() == 1:
        return network
    return DistributedDataParallel(network, broadcast_buffers=False)


def _alone(model: nn.Module) -> contextlib.AbstractContextManager[None]:
    """Inside, gradients are added up in each process on its own."""
    if isinstance(model, DistributedDataParallel):
        return model.no_sync()
    return contextlib.nullcontext()
