"""Training of an acoustic network: one loop, two losses (frame labels, CTC).

On pseudo-labels the CTC model is self-training, on references it is the supervised baseline: one
class, one code path, so that the two numbers differ by the labels alone.

Axes: B batch, T frames, V outputs.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unsup_asr.acoustic.augment import stretch
from unsup_asr.acoustic.network import (
    AcousticNetwork,
    NetworkShape,
    num_output_frames,
    padded_batch,
)
from unsup_asr.ranges import (
    AtLeastOne,
    NonNegative,
    NonNegativeInt,
    Positive,
    PositiveFraction,
    PositiveInt,
    Probability,
    Seed,
)
from unsup_asr.types import Float32Array, Int32Array

log = logging.getLogger(__name__)

BatchLoss = Callable[[Tensor, Tensor, list[str]], tuple[Tensor, int]]
CTC_BLANK = 0  # phone i is output i + 1


@dataclass(frozen=True, kw_only=True)
class NetworkTraining:
    """Size and schedule; the learning rate is multiplied by `decay` after each epoch."""

    hidden: PositiveInt = 160
    kernel: PositiveInt = 5
    num_layers: PositiveInt = 2
    stack: PositiveInt = 2
    dropout: Probability = 0.2
    epochs: PositiveInt = 6
    batch_size: PositiveInt = 16
    learning_rate: Positive = 2e-3
    decay: PositiveFraction = 0.75
    # One mask of 0 to so many frames an utterance (SpecAugment).
    max_masked_frames: NonNegativeInt = 0
    noise: NonNegative = 0.0  # standard deviation of what is added to every feature
    max_stretch: AtLeastOne = 1.0  # of time, either way, piece by piece; CTC only
    seed: Seed = 0

    def train_ctc(
        self,
        features: Mapping[str, Float32Array],
        targets: Mapping[str, Int32Array],
        *,
        num_phones: int,
        device: str = "cpu",
        progress: Callable[[], None] = lambda: None,
    ) -> tuple[AcousticNetwork, list[float]]:
        """A CTC model (output 0 is the blank) and the mean loss per phone of each epoch.

        `targets` are phone ids from 0. Utterances with no phone, or with more than CTC can place
        in their frames, are left out and counted in the log; ValueError when none is left.
        """
        ids = [i for i in targets if _fits_ctc(targets[i], len(features[i]), self.stack)]
        if not ids:
            raise ValueError(
                f"none of {len(targets)} utterances can be trained on: every target is empty or "
                "longer than its audio; look at the labels that the stage before wrote"
            )
        if len(ids) < len(targets):
            log.info("left out %d of %d utterances", len(targets) - len(ids), len(targets))

        def loss(
            log_posteriors_BTV: Tensor, lengths_B: Tensor, batch: list[str]
        ) -> tuple[Tensor, int]:
            target = np.concatenate([targets[i] for i in batch]).astype(np.int64) + 1
            target_lengths = torch.tensor([len(targets[i]) for i in batch])
            total = F.ctc_loss(
                log_posteriors_BTV.transpose(0, 1),
                torch.from_numpy(target).to(device),
                lengths_B,
                target_lengths.to(device),
                blank=CTC_BLANK,
                reduction="sum",
                zero_infinity=True,
            )
            return total, int(target_lengths.sum())

        def bend(utterance_id: str, rng: np.random.Generator) -> Float32Array:
            x_TD = np.asarray(features[utterance_id])
            bent_TD = stretch(x_TD, self.max_stretch, rng) if self.max_stretch > 1 else x_TD
            fits = _fits_ctc(targets[utterance_id], len(bent_TD), self.stack)
            return bent_TD if fits else x_TD

        dim = features[ids[0]].shape[1]
        lengths = {i: len(features[i]) for i in ids}
        return self._train(
            bend, lengths, (dim, num_phones + 1), loss, device=device, progress=progress
        )

    def train_frames(
        self,
        features: Mapping[str, Float32Array],
        labels: Mapping[str, Int32Array],
        *,
        num_phones: int,
        device: str = "cpu",
        progress: Callable[[], None] = lambda: None,
    ) -> tuple[AcousticNetwork, list[float]]:
        """A frame classifier and the mean cross-entropy of each epoch.

        `labels` has one phone id for each output frame, ceil(T / stack) of them.
        """

        def loss(
            log_posteriors_BTV: Tensor, lengths_B: Tensor, batch: list[str]
        ) -> tuple[Tensor, int]:
            target_BT = torch.full(log_posteriors_BTV.shape[:2], -1, dtype=torch.long)
            for row, utterance_id in enumerate(batch):
                label = torch.from_numpy(np.asarray(labels[utterance_id], dtype=np.int64))
                target_BT[row, : len(label)] = label
            total = F.nll_loss(
                log_posteriors_BTV.flatten(0, 1),
                target_BT.flatten().to(device),
                ignore_index=-1,
                reduction="sum",
            )
            return total, int(lengths_B.sum())

        dim = next(iter(features.values())).shape[1]
        lengths = {i: len(features[i]) for i in labels}
        return self._train(
            lambda i, _: np.asarray(features[i]),
            lengths,
            (dim, num_phones),
            loss,
            device=device,
            progress=progress,
        )

    def _train(
        self,
        read: Callable[[str, np.random.Generator], Float32Array],
        lengths: Mapping[str, int],
        dims: tuple[int, int],
        batch_loss: BatchLoss,
        *,
        device: str,
        progress: Callable[[], None],
    ) -> tuple[AcousticNetwork, list[float]]:
        shape = NetworkShape(
            input_dim=dims[0],
            num_outputs=dims[1],
            hidden=self.hidden,
            kernel=self.kernel,
            num_layers=self.num_layers,
            stack=self.stack,
            dropout=self.dropout,
        )
        with torch.random.fork_rng(devices=[]):  # torch draws first weights of its own, replaced
            network = AcousticNetwork(shape, torch.Generator().manual_seed(self.seed))
        network.to(device).train()
        optimizer = torch.optim.Adam(
            network.parameters(), lr=self.learning_rate, betas=(0.9, 0.98), fused=True
        )
        rng = np.random.default_rng(self.seed)
        curve: list[float] = []
        with torch.random.fork_rng(devices=[]):  # dropout draws from the global generator
            torch.manual_seed(self.seed)
            for epoch in range(self.epochs):
                optimizer.param_groups[0]["lr"] = self.learning_rate * self.decay**epoch
                total, count = 0.0, 0
                for batch in _similar_lengths(lengths, self.batch_size, rng):
                    x_BTD, lengths_B = padded_batch([read(i, rng) for i in batch])
                    if self.noise:
                        x_BTD += self.noise * torch.randn(x_BTD.shape).to(device)
                    self._mask(x_BTD, lengths_B, rng)
                    log_posteriors_BTV = network(x_BTD, lengths_B)
                    out_lengths_B = num_output_frames(lengths_B, self.stack)
                    loss, weight = batch_loss(log_posteriors_BTV, out_lengths_B, batch)
                    optimizer.zero_grad(set_to_none=True)
                    (loss / weight).backward()
                    nn.utils.clip_grad_norm_(network.parameters(), 5.0)
                    optimizer.step()
                    total, count = total + loss.item(), count + weight
                curve.append(total / count)
                progress()
        return network.eval(), curve

    def _mask(self, x_BTD: Tensor, lengths_B: Tensor, rng: np.random.Generator) -> None:
        if not self.max_masked_frames:
            return
        for row, length in enumerate(lengths_B.tolist()):
            width = int(rng.integers(0, self.max_masked_frames + 1))
            start = int(rng.integers(0, max(1, length - width)))
            x_BTD[row, start : start + width] = 0.0


def _fits_ctc(target: Int32Array, num_frames: int, stack: int) -> bool:
    repeats = int(np.sum(target[1:] == target[:-1]))  # a blank must part equal neighbours
    return 0 < len(target) <= math.ceil(num_frames / stack) - repeats


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
