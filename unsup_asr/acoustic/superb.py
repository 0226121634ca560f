"""SUPERB's phoneme recognition: a linear CTC head on a learned sum of frozen representations.

Yang et al. 2021 (SUPERB), as s3prl's `downstream/ctc/libriphone.yaml` has it: two linear layers
without a nonlinearity between them, Adam with a constant rate, batches of 16 of like target length,
two of them an update, the state of the best development PER kept. The phones are those of the
recipe's inventory, so the figure is one of the SUPERB recipe, not of the SUPERB benchmark.

Axes: B batch, T frames, D dims.
"""

from __future__ import annotations

import copy
import itertools
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from unsup_asr import compute
from unsup_asr.acoustic.linear_head import (
    BLANK,
    END,
    FIRST_PHONE,
    Layers,
    PhonemeRecognizer,
    RecognizerShape,
    layer_batch,
    recognise,
)
from unsup_asr.lookahead import map_ahead
from unsup_asr.ranges import Positive, PositiveInt, Seed
from unsup_asr.scoring.metrics import count_errors
from unsup_asr.types import ErrorCounts, Int32Array

log = logging.getLogger(__name__)

_NO_REDUCTION = 0  # torch's number for it


@dataclass(frozen=True)
class Batch:
    """Utterances whose loss is computed at once, of `num_in_update`; all but lengths are on the
    device.
    """

    layers_BTD: list[Tensor]
    lengths: tuple[int, ...]
    labels: Tensor  # of all utterances, one after the other
    num_labels: tuple[int, ...]
    num_labels_B: Tensor
    num_in_update: int

    @classmethod
    def of(
        cls,
        ids: Sequence[str],
        layers: Layers,
        targets: Mapping[str, Int32Array],
        *,
        num_in_update: int,
    ) -> Batch:
        """These utterances, read and sent."""
        layers_BTD, lengths = layer_batch(layers, ids)
        labels = [np.append(np.asarray(targets[i]) + FIRST_PHONE, END) for i in ids]
        num_labels = tuple(len(label) for label in labels)
        return cls(
            layers_BTD,
            lengths,
            compute.moved(torch.from_numpy(np.concatenate(labels).astype(np.int64))),
            num_labels,
            compute.moved(torch.tensor(num_labels)),
            num_in_update,
        )

    def loss(self, recognizer: PhonemeRecognizer) -> Tensor:
        """Sum over the utterances of each one's CTC loss a label."""
        losses_B = torch.ctc_loss(
            recognizer(self.layers_BTD).transpose(0, 1),
            self.labels,
            self.lengths,
            self.num_labels,
            blank=BLANK,
            reduction=_NO_REDUCTION,
            zero_infinity=True,
        )
        return (losses_B / self.num_labels_B).sum()


@dataclass(frozen=True)
class DevScore:
    """PER on the development set after so many updates, in percent; mean loss since the last."""

    step: int
    per: float
    loss: float


@dataclass(frozen=True)
class TrainedRecognizer:
    """The recognizer in its best state, and how it came there."""

    recognizer: PhonemeRecognizer
    history: tuple[DevScore, ...]

    @property
    def best(self) -> DevScore:
        """The first of the lowest PER: the state that was kept."""
        return min(self.history, key=lambda score: score.per)


@dataclass(frozen=True, kw_only=True)
class PhonemeRecognition:
    """Size and schedule. The defaults are SUPERB's; it tunes the learning rate alone, on dev."""

    steps: PositiveInt = 100_000  # updates, each of `accumulation` batches
    batch_size: PositiveInt = 16
    accumulation: PositiveInt = 2
    learning_rate: Positive = 1e-2
    max_gradient_norm: Positive = 1.0
    projection: PositiveInt = 256
    evaluate_every: PositiveInt = 1000
    normalise_layers: bool = False
    seed: Seed = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "accumulation", "projection", "evaluate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected 1 or more")

    def train(
        self,
        layers: Layers,
        targets: Mapping[str, Int32Array],
        dev_layers: Layers,
        dev_references: Mapping[str, Sequence[str]],
        inventory: Sequence[str],
        *,
        progress: Callable[[], None] = lambda: None,
    ) -> TrainedRecognizer:
        """Train on `targets` (phone ids from 0); keep the state of the lowest PER on dev.

        Utterances longer in phones than in frames teach nothing: their loss counts as zero, as in
        SUPERB, and the log says how many they are. ValueError when none is left, and for a loss
        that is no number, which is looked for where dev is scored.
        """
        ids = _trainable(layers, targets)
        recognizer = self._initial(layers, len(inventory)).to(compute.device())
        optimizer = torch.optim.Adam(recognizer.parameters(), lr=self.learning_rate)
        drawn = self._batches({i: len(targets[i]) for i in ids})
        groups = iter(lambda: list(itertools.islice(drawn, self.accumulation)), [])
        history: list[DevScore] = []
        best_state = copy.deepcopy(recognizer.state_dict())
        losses: list[Tensor] = []
        with ThreadPoolExecutor(1, initializer=compute.join) as pool:
            batches = map_ahead(
                pool,
                lambda batch: Batch.of(batch[0], layers, targets, num_in_update=batch[1]),
                _with_size(itertools.islice(groups, self.steps)),
                ahead=1,  # 25 layers of a batch are half a gigabyte
            )
            for step in range(1, self.steps + 1):
                group = itertools.islice(batches, self.accumulation)
                losses.append(self.update(recognizer, optimizer, group))
                progress()
                if step % self.evaluate_every and step < self.steps:
                    continue
                loss = _mean(losses, step)
                hypotheses = recognise(recognizer, dev_layers, inventory)
                per = _error_rate(dev_references, hypotheses)
                log.info("step %d: loss %.3f, dev PER %.2f", step, loss, per)
                if not history or per < min(score.per for score in history):
                    best_state = copy.deepcopy(recognizer.state_dict())
                history.append(DevScore(step, per, loss))
                losses.clear()
        recognizer.load_state_dict(best_state)
        return TrainedRecognizer(recognizer.eval(), tuple(history))

    def update(
        self,
        recognizer: PhonemeRecognizer,
        optimizer: torch.optim.Optimizer,
        group: Iterable[Batch],
    ) -> Tensor:
        """One step along the gradient of all batches of `group`; their mean loss, on the device.

        The loss of an utterance is its CTC loss a label; each utterance weighs the same.
        """
        optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), dtype=torch.float64, device=compute.device())
        for batch in group:
            loss = batch.loss(recognizer) / batch.num_in_update
            loss.backward()
            total += loss.detach()
        nn.utils.clip_grad_norm_(recognizer.parameters(), self.max_gradient_norm)
        optimizer.step()
        return total

    def _initial(self, layers: Layers, num_phones: int) -> PhonemeRecognizer:
        first = next(iter(next(iter(layers.values())).values()))
        shape = RecognizerShape(
            num_layers=len(layers),
            dim=first.shape[1],
            num_phones=num_phones,
            projection=self.projection,
            normalise_layers=self.normalise_layers,
        )
        with torch.random.fork_rng(devices=[]):  # first weights come from the global generator
            torch.manual_seed(self.seed)
            return PhonemeRecognizer(shape)

    def _batches(self, num_labels: Mapping[str, int]) -> Iterator[list[str]]:
        """Batches of like target length, all of them in a new order in every pass, for ever."""
        rng = np.random.default_rng(self.seed)
        ids = sorted(num_labels, key=lambda i: (num_labels[i], i))
        size = self.batch_size
        batches = [ids[first : first + size] for first in range(0, len(ids), size)]
        while True:
            for position in rng.permutation(len(batches)).tolist():
                yield batches[position]


def _with_size(groups: Iterable[list[list[str]]]) -> Iterator[tuple[list[str], int]]:
    """Each batch, and how many utterances its whole group has."""
    for group in groups:
        size = sum(map(len, group))
        for batch in group:
            yield batch, size


def _mean(losses: Sequence[Tensor], step: int) -> float:
    mean = float(torch.stack(list(losses)).mean())
    if not math.isfinite(mean):
        raise ValueError(
            f"the loss before step {step} is {mean}; expected a number. Lower learning_rate, or "
            "compute with runtime.precision=float32"
        )
    return mean


def _trainable(layers: Layers, targets: Mapping[str, Int32Array]) -> list[str]:
    """Utterances with representations and a target; ValueError when CTC fits none of them."""
    frames = next(iter(layers.values()))
    ids = [i for i in targets if i in frames]
    too_short = 0
    for utterance_id in ids:
        target = np.asarray(targets[utterance_id])
        num_repeats = int(np.sum(target[1:] == target[:-1]))  # a blank must part equal neighbours
        too_short += len(target) + 1 + num_repeats > len(frames[utterance_id])
    if too_short == len(ids):
        raise ValueError(
            f"none of {len(targets)} utterances can be trained on: {len(targets) - len(ids)} have "
            f"no representation, {too_short} fewer frames than phones; look at the references"
        )
    if too_short or len(ids) < len(targets):
        log.warning(
            "of %d utterances, %d have no representation and %d fewer frames than phones: they are "
            "not learned from. If they are many, look at the references",
            len(targets),
            len(targets) - len(ids),
            too_short,
        )
    return ids


def _error_rate(
    references: Mapping[str, Sequence[str]], hypotheses: Mapping[str, Sequence[str]]
) -> float:
    """PER in percent; an utterance without representations counts as all deleted."""
    counts = (
        count_errors(phones, hypotheses.get(utterance_id, ()))
        for utterance_id, phones in references.items()
    )
    return sum(counts, ErrorCounts(0, 0, 0, 0)).rate
