"""What an acoustic network is trained for: phones in their order (CTC), or a phone a frame.

Axes: B batch, T frames out of the network, V outputs.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from unsup_asr import compute
from unsup_asr.types import Int32Array

CTC_BLANK = 0  # phone i is output i + 1
_SUM = 2  # torch's number for that reduction; its name is known to functions that want tensors

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Targets:
    """Of a pass: labels on the device, and lengths, which the host reads."""

    labels: Tensor
    label_lengths: tuple[int, ...]
    output_lengths: tuple[int, ...]

    def moved(self) -> Targets:
        """With the labels on the device."""
        return replace(self, labels=compute.moved(self.labels))


class Objective(Protocol):
    """Targets of utterances, and a loss that is a sum over `weight` of them."""

    @property
    def num_outputs(self) -> int:
        """Of the network."""
        ...

    def fits(self, utterance_id: str, num_outputs: int) -> bool:
        """Whether an utterance can be learned from in so many frames out."""
        ...

    def weight(self, utterance_id: str) -> int:
        """What it counts for in a mean."""
        ...

    def targets(self, ids: Sequence[str], output_lengths: Sequence[int], longest: int) -> Targets:
        """Of utterances padded to `longest` frames out; still on the CPU."""
        ...

    def loss(self, log_posteriors_BTV: Tensor, targets: Targets) -> Tensor:
        """Sum over all utterances; reads nothing from the device."""
        ...


@dataclass(frozen=True)
class CTC:
    """Phones in their order, as Graves et al. 2006; the mean is over phones."""

    phones: Mapping[str, Int32Array]  # ids from 0
    num_phones: int

    @property
    def num_outputs(self) -> int:
        """The phones and the blank."""
        return self.num_phones + 1

    def fits(self, utterance_id: str, num_outputs: int) -> bool:
        """Whether CTC can place its phones there."""
        target = np.asarray(self.phones[utterance_id])
        repeats = int(np.sum(target[1:] == target[:-1]))  # a blank must part equal neighbours
        return 0 < len(target) <= num_outputs - repeats

    def fitting(self, num_outputs: Mapping[str, int]) -> list[str]:
        """Ids of the utterances that CTC can place in so many outputs; the others are counted in
        the log. ValueError when none is left.
        """
        ids = [i for i, outputs in num_outputs.items() if self.fits(i, outputs)]
        if not ids:
            raise ValueError(
                f"none of {len(num_outputs)} utterances can be trained on: every target is empty "
                "or longer than its audio; look at the labels that the stage before wrote"
            )
        if len(ids) < len(num_outputs):
            log.info("left out %d of %d utterances", len(num_outputs) - len(ids), len(num_outputs))
        return ids

    def weight(self, utterance_id: str) -> int:
        """Phones."""
        return len(self.phones[utterance_id])

    def targets(self, ids: Sequence[str], output_lengths: Sequence[int], longest: int) -> Targets:
        """Phones of all utterances one after the other, as outputs."""
        phones = [np.asarray(self.phones[i], dtype=np.int64) for i in ids]
        labels = np.concatenate([np.zeros(0, dtype=np.int64), *phones]) + 1
        return Targets(
            torch.from_numpy(labels),
            tuple(len(p) for p in phones),
            tuple(output_lengths),
        )

    def loss(self, log_posteriors_BTV: Tensor, targets: Targets) -> Tensor:
        """Of an utterance that does not fit: 0."""
        if len(log_posteriors_BTV) == 0:
            return log_posteriors_BTV.sum()
        return torch.ctc_loss(
            log_posteriors_BTV.transpose(0, 1),
            targets.labels,
            targets.output_lengths,
            targets.label_lengths,
            blank=CTC_BLANK,
            reduction=_SUM,
            zero_infinity=True,
        )


@dataclass(frozen=True)
class FrameLabels:
    """One phone a frame out, by cross-entropy; the mean is over frames."""

    labels: Mapping[str, Int32Array]
    num_outputs: int

    def fits(self, utterance_id: str, num_outputs: int) -> bool:
        """Whether there is a label a frame."""
        return len(self.labels[utterance_id]) == num_outputs

    def weight(self, utterance_id: str) -> int:
        """Frames."""
        return len(self.labels[utterance_id])

    def targets(self, ids: Sequence[str], output_lengths: Sequence[int], longest: int) -> Targets:
        """Labels (B, longest), -1 behind each utterance."""
        target_BT = torch.full((len(ids), longest), -1, dtype=torch.long)
        for row, utterance_id in enumerate(ids):
            label = torch.from_numpy(np.asarray(self.labels[utterance_id], dtype=np.int64))
            target_BT[row, : len(label)] = label
        return Targets(target_BT, tuple(output_lengths), tuple(output_lengths))

    def loss(self, log_posteriors_BTV: Tensor, targets: Targets) -> Tensor:
        """Over all frames that have a label."""
        return F.nll_loss(
            log_posteriors_BTV.flatten(0, 1),
            targets.labels.flatten(),
            ignore_index=-1,
            reduction="sum",
        )
