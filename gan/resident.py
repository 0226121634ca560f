"""Segments and text that stay on the accelerator, where batches are gathered from them.

Per update the host sends which utterances and sentences are chosen, a few numbers each; segments
that do not fit stay with the host, which sends those of each batch. Rows are padded to a multiple
of `GRANULE`, so that few shapes occur.

Axes: M members, N packed rows, B sequences, D dims, U utterances of a batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from gan.batches import Batch, UnpairedData, name_bad_utterance
from gan.draws import DeviceDraws
from gan.packing import Packing, rounded_up
from unsup_asr import compute
from unsup_asr.formats.ragged import RaggedArray
from unsup_asr.types import Int64Array

GRANULE = 1024
_SHARE = 0.5  # of the accelerator's free memory that data may take
_ROWS_AT_ONCE = 2**18


@dataclass(frozen=True)
class Choice:
    """What an update reads of the resident data: a few numbers that the host sends.

    `numbers_4MB` are lengths and first rows of the utterances, then of the sentences; rows of both
    are padded to `speech_rows` and `text_rows`, of which 0 means that no text is gathered.
    """

    numbers_4MB: Tensor
    speech_rows: int
    text_rows: int
    draws: DeviceDraws

    def without_text(self) -> Choice:
        """The same for an update that reads none."""
        return replace(self, text_rows=0)


@dataclass(frozen=True)
class _Rows:
    """Rows of all sequences, one after the other, on the accelerator; where each starts, here."""

    values: Tensor  # (rows + 1,) or (rows + 1, D): the last is zero, which filler reads
    offsets: Int64Array

    def numbers(self, chosen_MB: Int64Array) -> Int64Array:
        """Lengths and first rows of the chosen sequences, (2, M, B)."""
        return np.stack([np.diff(self.offsets)[chosen_MB], self.offsets[chosen_MB]])

    def take(self, first_MB: Tensor, packing: Packing) -> Tensor:
        """Rows of sequences that begin there, (M, N) or (M, N, D), zero for filler."""
        rows_MN = packing.per_row(first_MB) + packing.position_MN
        rows_MN = rows_MN.masked_fill(packing.is_filler_MN, len(self.values) - 1)
        taken = self.values.index_select(0, rows_MN.flatten())
        return taken.view(*rows_MN.shape, *self.values.shape[1:])


@dataclass(frozen=True)
class ResidentData:
    """What the game reads, on the accelerator; of segments that do not fit what a batch reads."""

    data: UnpairedData
    segments: _Rows | None  # None: they do not fit
    text: _Rows
    auxiliary_classes: _Rows | None
    dtype: torch.dtype | None = None  # of segments; None: as they are stored

    @classmethod
    def of(
        cls,
        data: UnpairedData,
        device: torch.device,
        *,
        dtype: torch.dtype | None = None,
        free_bytes: float = math.inf,
    ) -> ResidentData:
        """Send it there, the segments if they leave half of `free_bytes` to the game.

        Segments stay as they are stored and are gathered as float32, or are held and gathered as
        `dtype`. ValueError naming the utterance for values that are not finite, of segments that
        stay with the host when a batch reads them.
        """
        segments = None
        if data.segments.values_array.nbytes <= _SHARE * free_bytes:
            values = _sent(data.segments.values_array, device, dtype)
            segments = _Rows(values, data.segments.offsets)
            if not _is_finite(values):
                raise ValueError(name_bad_utterance(data.segments, range(len(data.segments))))
        classes = data.auxiliary_classes
        return cls(
            data,
            segments,
            _Rows(_sent(data.text_values, device).long(), data.text_offsets),
            None
            if classes is None
            else _Rows(_sent(classes.values_array, device).long(), classes.offsets),
            dtype,
        )

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.text.values.device

    @property
    def holds_segments(self) -> bool:
        """Whether a batch can be gathered from its numbers alone."""
        return self.segments is not None

    def choose(self, step: int, *, seeds: Sequence[int], batch_size: int) -> Choice:
        """What `UnpairedData.draw` chooses for one step; nothing is done on the accelerator."""
        assert self.segments is not None
        utterances_MB, sentences_MB, _ = self.data.choose(step, seeds=seeds, batch_size=batch_size)
        return self._choice(step, seeds, self.segments.numbers(utterances_MB), sentences_MB)

    def _choice(
        self, step: int, seeds: Sequence[int], speech: Int64Array, sentences_MB: Int64Array
    ) -> Choice:
        text = self.text.numbers(sentences_MB)
        numbers = torch.from_numpy(np.concatenate([speech, text]))
        if self.device.type == "cuda":
            numbers = numbers.pin_memory()
        speech_rows, text_rows = (
            rounded_up(int(lengths.sum(1).max()), GRANULE) for lengths in (speech[0], text[0])
        )
        draws = DeviceDraws.of(seeds, step, self.device)
        return Choice(numbers, speech_rows, text_rows, draws)

    def gather(self, choice: Choice) -> Batch:
        """The batch of a choice whose numbers are on the accelerator: nothing is read or sent."""
        assert self.segments is not None
        lengths_MB, first_MB, text_lengths_MB, text_first_MB = choice.numbers_4MB
        members = len(lengths_MB)
        speech = Packing.within(lengths_MB, (choice.speech_rows,) * members, granule=GRANULE)
        text = Packing.within(text_lengths_MB, (choice.text_rows,) * members, granule=GRANULE)
        targets = None
        if self.auxiliary_classes is not None:
            classes = self.auxiliary_classes.take(first_MB, speech)
            targets = classes.masked_fill(speech.is_filler_MN, -1)
        features = self.segments.take(first_MB, speech)
        if features.dtype is torch.float16:
            features = features.float()
        phones = text_first_MB[:, :0]
        if choice.text_rows > 0:
            phones = self.text.take(text_first_MB, text)
        return Batch(features, speech, phones, text, targets, choice.draws)

    def draw(self, step: int, *, seeds: Sequence[int], batch_size: int) -> Batch:
        """One step's data for each seed, with lengths that the host knows too."""
        utterances_MB, sentences_MB, _ = self.data.choose(step, seeds=seeds, batch_size=batch_size)
        known = self
        if self.segments is None:
            utterances_U, utterances_MB = np.unique(utterances_MB, return_inverse=True)
            utterances_MB = utterances_MB.reshape(sentences_MB.shape)
            known = self._with_segments_of(utterances_U)
        assert known.segments is not None
        choice = self._choice(step, seeds, known.segments.numbers(utterances_MB), sentences_MB)
        there = choice.numbers_4MB.to(self.device, non_blocking=True)
        batch = known.gather(replace(choice, numbers_4MB=there))
        return replace(
            batch,
            speech=batch.speech.known(choice.numbers_4MB[0]),
            text=batch.text.known(choice.numbers_4MB[2]),
        )

    def _with_segments_of(self, utterances_U: Int64Array) -> ResidentData:
        """The same with these utterances alone, which are sent; numbered as they come."""
        segments = _rows_of(self.data.segments, utterances_U, self.dtype)
        if not _is_finite(segments):
            raise ValueError(name_bad_utterance(self.data.segments, utterances_U))
        offsets = np.concatenate([[0], np.cumsum(self.data.segments.lengths[utterances_U])])
        classes = self.data.auxiliary_classes
        return replace(
            self,
            segments=_Rows(compute.moved(segments), offsets),
            auxiliary_classes=None
            if classes is None
            else _Rows(compute.moved(_rows_of(classes, utterances_U)).long(), offsets),
        )


def free_bytes(device: torch.device) -> float:
    """What a GPU has left; of other devices nobody knows."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else math.inf


def _sent(array: np.ndarray, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """A copy there and a row of zeros, block by block: the array may lie on disk."""
    dtype = dtype or torch.from_numpy(array[:0].copy()).dtype
    out = torch.empty((len(array) + 1, *array.shape[1:]), dtype=dtype, device=device)
    out[-1] = 0
    for first in range(0, len(array), _ROWS_AT_ONCE):
        block = np.array(array[first : first + _ROWS_AT_ONCE])
        out[first : first + len(block)] = torch.from_numpy(block)
    return out


def _rows_of(array: RaggedArray, chosen_U: Int64Array, dtype: torch.dtype | None = None) -> Tensor:
    """Rows of some sequences one after the other, and of zeros, one at least."""
    rows = array.values_array
    num_rows = rounded_up(int(array.lengths[chosen_U].sum()) + 1, GRANULE)
    dtype = dtype or torch.from_numpy(rows[:0].copy()).dtype
    out, first = torch.zeros(num_rows, *rows.shape[1:], dtype=dtype), 0
    for number in chosen_U:
        begin, end = array.offsets[number : number + 2]
        out[first : first + end - begin] = torch.from_numpy(np.array(rows[begin:end]))
        first += end - begin
    return out


def _is_finite(values: Tensor) -> bool:
    """Read once, not once a block."""
    blocks = [torch.isfinite(block).all() for block in values.split(_ROWS_AT_ONCE)]
    return bool(torch.stack(blocks).all())
