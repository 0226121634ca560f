"""Segments and text that stay on the accelerator, where batches are gathered from them.

Per update the host sends which utterances and sentences are chosen, a few numbers each. Rows are
padded to a multiple of `GRANULE`, so that few shapes occur.

Axes: M members, N packed rows, B sequences, D dims.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gan.batches import Batch, UnpairedData, name_bad_utterance
from gan.draws import DeviceDraws
from gan.packing import Packing
from unsup_asr.types import Int64Array

GRANULE = 1024
_SHARE = 0.5  # of the accelerator's free memory that data may take
_ROWS_AT_ONCE = 2**18


@dataclass(frozen=True)
class _Rows:
    """Rows of all sequences, one after the other, on the accelerator; where each starts, here."""

    values: Tensor  # (rows,) or (rows, D)
    offsets: Int64Array

    def take(self, chosen_MB: Int64Array) -> tuple[Tensor, Packing]:
        """Rows of the chosen sequences, (M, N) or (M, N, D), zero for filler; their packing."""
        device = self.values.device
        lengths_MB = torch.from_numpy(np.diff(self.offsets)[chosen_MB])
        packing = Packing.of_lengths(lengths_MB, granule=GRANULE, device=device)
        first_MB = torch.from_numpy(self.offsets[chosen_MB]).to(device)
        rows_MN = (packing.per_row(first_MB) + packing.position_MN).clamp_max(len(self.values) - 1)
        taken = self.values.index_select(0, rows_MN.flatten())
        taken = taken.view(*rows_MN.shape, *self.values.shape[1:])
        is_filler = packing.is_filler_MN[(...,) + (None,) * (self.values.dim() - 1)]
        return taken.masked_fill(is_filler, 0), packing


@dataclass(frozen=True)
class ResidentData:
    """All that the game reads, on the accelerator."""

    data: UnpairedData
    segments: _Rows
    text: _Rows
    auxiliary_classes: _Rows | None

    @classmethod
    def of(cls, data: UnpairedData, device: torch.device) -> ResidentData:
        """Send it there; ValueError naming the utterance for values that are not finite."""
        segments = _Rows(_sent(data.segments.values_array, device), data.segments.offsets)
        if not _is_finite(segments.values):
            raise ValueError(name_bad_utterance(data.segments, range(len(data.segments))))
        classes = data.auxiliary_classes
        return cls(
            data,
            segments,
            _Rows(_sent(data.text_values, device).long(), data.text_offsets),
            None
            if classes is None
            else _Rows(_sent(classes.values_array, device).long(), classes.offsets),
        )

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.segments.values.device

    def draw(self, step: int, *, seeds: Sequence[int], batch_size: int) -> Batch:
        """One step's data for each seed: what `UnpairedData.draw` chooses, gathered there."""
        utterances_MB, sentences_MB, _ = self.data.choose(step, seeds=seeds, batch_size=batch_size)
        features, speech = self.segments.take(utterances_MB)
        phones, text = self.text.take(sentences_MB)
        targets = None
        if self.auxiliary_classes is not None:
            classes, _ = self.auxiliary_classes.take(utterances_MB)
            targets = classes.masked_fill(speech.is_filler_MN, -1)
        draws = DeviceDraws.of(seeds, step, self.device)
        return Batch(features.float(), speech, phones, text, targets, draws)


def fits(data: UnpairedData, device: torch.device) -> bool:
    """Whether the segments leave half of the accelerator's free memory to the game."""
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return data.segments.values_array.nbytes <= _SHARE * free


def _sent(array: np.ndarray, device: torch.device) -> Tensor:
    """A copy there, block by block: the array may lie on disk."""
    out = torch.empty(array.shape, dtype=torch.from_numpy(array[:0].copy()).dtype, device=device)
    for first in range(0, len(array), _ROWS_AT_ONCE):
        block = np.array(array[first : first + _ROWS_AT_ONCE])
        out[first : first + len(block)] = torch.from_numpy(block)
    return out


def _is_finite(values: Tensor) -> bool:
    """Read once, not once a block."""
    blocks = [torch.isfinite(block).all() for block in values.split(_ROWS_AT_ONCE)]
    return bool(torch.stack(blocks).all())
