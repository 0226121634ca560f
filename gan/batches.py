"""What each step reads: packed segments and unpaired text, drawn from (seed, step) alone.

Nothing but the step number has to be saved to resume, and a member draws the same batches
whether it trains alone or beside others.

Axes: M members, N packed rows, B sequences, D dims, V phones.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from gan.draws import Draws, HostDraws
from gan.packing import Packing
from unsup_asr.formats.ragged import RaggedArray
from unsup_asr.types import Float32Array, Int32Array, Int64Array

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """One step's data for every member."""

    features_MND: Tensor
    speech: Packing
    text_MN: Tensor  # phone ids
    text: Packing
    targets_MN: Tensor | None  # class of each speech row for the auxiliary task, -1 where unknown
    draws: Draws  # what the step itself draws: dropout, JOIN, interpolation


@dataclass(frozen=True)
class UnpairedData:
    """Segments of utterances, and sentences that say something else."""

    segments: RaggedArray
    text_values: Int32Array
    text_offsets: Int64Array
    num_phones: int
    auxiliary_classes: RaggedArray | None = None  # one id a segment
    utterances: Int64Array | None = None  # numbers of those to draw; None: all

    @classmethod
    def check(
        cls,
        segments: RaggedArray,
        text: Sequence[Int32Array],
        *,
        num_phones: int,
        auxiliary_classes: RaggedArray | None = None,
    ) -> UnpairedData:
        """ValueError for empty or impossible data."""
        if len(segments) == 0:
            raise ValueError("no utterance to train on; check the segment stage and its filters")
        if len(text) == 0:
            raise ValueError("no sentence to train on; check the text stage and what it dropped")
        lengths = np.array([len(sentence) for sentence in text], dtype=np.int64)
        if lengths.min() == 0:
            raise ValueError(
                f"sentence {int(lengths.argmin())} of {len(text)} has no phone; "
                "drop empty sentences"
            )
        if segments.lengths.min() == 0:
            raise ValueError(
                f"utterance {segments.ids[int(segments.lengths.argmin())]!r} has no segment; "
                "drop it or segment it again"
            )
        values = np.concatenate(list(text)).astype(np.int32)
        if values.min() < 0 or values.max() >= num_phones:
            raise ValueError(
                f"text holds phone ids from {values.min()} to {values.max()}; expected 0 to "
                f"{num_phones - 1}: was it made with another inventory?"
            )
        if auxiliary_classes is not None and not (
            auxiliary_classes.ids == segments.ids
            and np.array_equal(auxiliary_classes.offsets, segments.offsets)
        ):
            raise ValueError(
                f"auxiliary classes: {len(auxiliary_classes)} utterances and "
                f"{auxiliary_classes.offsets[-1]} rows; expected those of the segments, "
                f"{len(segments)} and {segments.offsets[-1]}, in the same order"
            )
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        return cls(segments, values, offsets, num_phones, auxiliary_classes)

    def without_short(self, min_segments: int) -> UnpairedData:
        """Only utterances of so many segments are drawn; ValueError when there is none."""
        kept = np.flatnonzero(self.segments.lengths >= min_segments)
        if len(kept) == 0:
            raise ValueError(
                f"no utterance has {min_segments} segments, the longest has "
                f"{self.segments.lengths.max()}: cut more finely, or set padding to masked"
            )
        if len(kept) < len(self.segments):
            log.warning(
                "%d of %d utterances have fewer than %d segments and are not played with. If they "
                "are many, cut more finely",
                len(self.segments) - len(kept),
                len(self.segments),
                min_segments,
            )
        return replace(self, utterances=kept)

    def choose(
        self, step: int, *, seeds: Sequence[int], batch_size: int
    ) -> tuple[Int64Array, Int64Array, list[np.random.Generator]]:
        """Utterances in shuffled epochs and sentences with replacement, numbers (M, B) of each.

        Also the generators, which the step's own draws go on from.
        """
        rngs = [np.random.default_rng([seed, 1, step]) for seed in seeds]
        drawn = np.arange(len(self.segments)) if self.utterances is None else self.utterances
        utterances = [drawn[utterances_at(step, seed, batch_size, len(drawn))] for seed in seeds]
        sentences = [rng.integers(len(self.text_offsets) - 1, size=batch_size) for rng in rngs]
        return np.stack(utterances), np.stack(sentences), rngs

    def draw(
        self, step: int, *, seeds: Sequence[int], batch_size: int, device: torch.device | str
    ) -> Batch:
        """One step's data for each seed, gathered by the host."""
        chosen_MB, sentences_MB, rngs = self.choose(step, seeds=seeds, batch_size=batch_size)
        speech = [self._gather_speech(utterances) for utterances in chosen_MB]
        text = [self._gather_text(sentences) for sentences in sentences_MB]
        speech_packing = Packing.of_lengths(torch.stack([n for _, n in speech]))
        text_packing = Packing.of_lengths(torch.stack([n for _, n in text]))
        features = _stack_padded([x for x, _ in speech])
        phones = _stack_padded([x for x, _ in text])
        return Batch(
            features.to(device),
            speech_packing.to(device),
            phones.to(device),
            text_packing.to(device),
            self._targets(chosen_MB, speech_packing, device),
            HostDraws(rngs),
        )

    def _gather_speech(self, chosen: Int64Array) -> tuple[Tensor, Tensor]:
        offsets, values = self.segments.offsets, self.segments.values_array
        rows = np.concatenate([values[offsets[i] : offsets[i + 1]] for i in chosen])
        if not np.isfinite(rows).all():
            raise ValueError(name_bad_utterance(self.segments, chosen))
        return torch.from_numpy(rows.astype(np.float32, copy=False)), torch.from_numpy(
            self.segments.lengths[chosen]
        )

    def _targets(
        self, chosen: Int64Array, packing: Packing, device: torch.device | str
    ) -> Tensor | None:
        if self.auxiliary_classes is None:
            return None
        offsets, values = self.auxiliary_classes.offsets, self.auxiliary_classes.values_array
        rows = [
            torch.from_numpy(
                np.concatenate([values[offsets[i] : offsets[i + 1]] for i in c]).astype(np.int64)
            )
            for c in chosen
        ]
        return _stack_padded(rows).masked_fill(packing.is_filler_MN, -1).to(device)

    def _gather_text(self, chosen: Int64Array) -> tuple[Tensor, Tensor]:
        offsets = self.text_offsets
        rows = np.concatenate([self.text_values[offsets[i] : offsets[i + 1]] for i in chosen])
        return torch.from_numpy(rows.astype(np.int64)), torch.from_numpy(np.diff(offsets)[chosen])


def utterances_at(step: int, seed: int, batch_size: int, num_utterances: int) -> Int64Array:
    """Utterance numbers of one step: consecutive places in endless shuffled epochs."""
    places = np.arange(step * batch_size, (step + 1) * batch_size)
    epochs = places // num_utterances
    chosen = np.empty(batch_size, dtype=np.int64)
    for epoch in np.unique(epochs):
        order = _order(seed, int(epoch), num_utterances)
        is_in_epoch = epochs == epoch
        chosen[is_in_epoch] = order[places[is_in_epoch] % num_utterances]
    return chosen


@lru_cache(maxsize=64)
def _order(seed: int, epoch: int, num_utterances: int) -> Int64Array:
    return np.random.default_rng([seed, 0, epoch]).permutation(num_utterances)


def pack_utterances(
    arrays: Sequence[Float32Array], *, device: torch.device
) -> tuple[Tensor, Packing]:
    """Utterances of one member, packed: (1, N, D)."""
    lengths = torch.tensor([[len(array) for array in arrays]])
    rows = torch.from_numpy(np.concatenate(arrays).astype(np.float32, copy=False))
    return rows[None].to(device), Packing.of_lengths(lengths, device=device)


def _stack_padded(arrays: list[Tensor]) -> Tensor:
    if len(arrays) == 1:
        return arrays[0][None]
    longest = max(len(array) for array in arrays)
    out = arrays[0].new_zeros(len(arrays), longest, *arrays[0].shape[1:])
    for row, array in zip(out, arrays, strict=True):
        row[: len(array)] = array
    return out


def name_bad_utterance(segments: RaggedArray, chosen: Iterable[int]) -> str:
    """The message about the first of these utterances that holds NaN or infinite values."""
    for i in chosen:
        if not np.isfinite(segments[segments.ids[i]]).all():
            return (
                f"segments of utterance {segments.ids[i]!r} hold NaN or infinite values; "
                "make its features again"
            )
    raise AssertionError
