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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unsup_asr.acoustic.linear_head import (
    BLANK,
    END,
    FIRST_PHONE,
    Layers,
    PhonemeRecognizer,
    RecognizerShape,
    device_of,
    layer_batch,
    recognise,
)
from unsup_asr.ranges import Positive, PositiveInt, Seed
from unsup_asr.scoring.metrics import count_errors
from unsup_asr.types import ErrorCounts, Int32Array

log = logging.getLogger(__name__)


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
        device: str = "cpu",
        progress: Callable[[], None] = lambda: None,
    ) -> TrainedRecognizer:
        """Train on `targets` (phone ids from 0); keep the state of the lowest PER on dev.

        Utterances longer in phones than in frames teach nothing: their loss counts as zero, as in
        SUPERB, and the log says how many they are. ValueError when none is left.
        """
        ids = _trainable(layers, targets)
        recognizer = self._initial(layers, len(inventory)).to(device)
        optimizer = torch.optim.Adam(recognizer.parameters(), lr=self.learning_rate)
        batches = self._batches({i: len(targets[i]) for i in ids})
        history: list[DevScore] = []
        best_state = copy.deepcopy(recognizer.state_dict())
        losses: list[float] = []
        for step in range(1, self.steps + 1):
            group = list(itertools.islice(batches, self.accumulation))
            losses.append(self.update(recognizer, optimizer, group, layers, targets))
            progress()
            if step % self.evaluate_every and step < self.steps:
                continue
            hypotheses = recognise(recognizer, dev_layers, inventory)
            per = _error_rate(dev_references, hypotheses)
            log.info("step %d: loss %.3f, dev PER %.2f", step, np.mean(losses), per)
            if not history or per < min(score.per for score in history):
                best_state = copy.deepcopy(recognizer.state_dict())
            history.append(DevScore(step, per, float(np.mean(losses))))
            losses.clear()
        recognizer.load_state_dict(best_state)
        return TrainedRecognizer(recognizer.eval(), tuple(history))

    def update(
        self,
        recognizer: PhonemeRecognizer,
        optimizer: torch.optim.Optimizer,
        group: Sequence[Sequence[str]],
        layers: Layers,
        targets: Mapping[str, Int32Array],
    ) -> float:
        """One step along the gradient of all batches of `group`; their mean loss.

        The loss of an utterance is its CTC loss a label; each utterance weighs the same.
        """
        optimizer.zero_grad(set_to_none=True)
        num_utterances = sum(len(batch) for batch in group)
        total = 0.0
        for batch in group:
            loss = _ctc_loss(recognizer, batch, layers, targets) / num_utterances
            loss.backward()
            total += loss.item()
        nn.utils.clip_grad_norm_(
            recognizer.parameters(), self.max_gradient_norm, error_if_nonfinite=True
        )
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


def _ctc_loss(
    recognizer: PhonemeRecognizer,
    batch: Sequence[str],
    layers: Layers,
    targets: Mapping[str, Int32Array],
) -> Tensor:
    """Sum over the batch of each utterance's CTC loss a label."""
    device = device_of(recognizer)
    layers_BTD, lengths_B = layer_batch(layers, batch, device)
    labels = [np.append(np.asarray(targets[i]) + FIRST_PHONE, END) for i in batch]
    num_labels_B = torch.tensor([len(label) for label in labels], device=device)
    losses_B = F.ctc_loss(
        recognizer(layers_BTD).transpose(0, 1),
        torch.from_numpy(np.concatenate(labels).astype(np.int64)).to(device),
        lengths_B,
        num_labels_B,
        blank=BLANK,
        reduction="none",
        zero_infinity=True,
    )
    return (losses_B / num_labels_B).sum()


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
            "of %d utterances, %d have no representation and %d fewer frames than phones",
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
