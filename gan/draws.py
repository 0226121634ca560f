"""What one update draws: dropout, JOIN, points of the gradient penalty, from (seed, update) alone.

On a CPU numpy draws, and only for rows that there are, so that a member's numbers do not depend on
whom it plays beside. On an accelerator its own generator draws, for filler too: no mask crosses
the bus, and the host need not know how many rows there are.

Axes: M members, N packed rows, B sequences, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from gan.packing import Packing

_LEVELS = 2**16  # dropout's probability is rounded to a multiple of 1 / 65536


class Draws(Protocol):
    """One update's draws; each member's are its own."""

    def dropped(self, values_MNC: Tensor, packing: Packing, probability: float) -> Tensor:
        """True where dropout of this probability zeroes an entry, (M, N, C), of real rows."""
        ...

    def uniform_rows(self, packing: Packing) -> Tensor:
        """In [0, 1), one a row: (M, N)."""
        ...

    def uniform(self, packing: Packing) -> Tensor:
        """In [0, 1), one a sequence: (M, B)."""
        ...

    def whole(self, below: int, packing: Packing) -> Tensor:
        """Whole numbers from 0 to `below` - 1, one a row: (M, N)."""
        ...


@dataclass(frozen=True)
class HostDraws:
    """Drawn by numpy, one generator a member, whose order of calls is that of the numbers."""

    rngs: Sequence[np.random.Generator]

    def dropped(self, values_MNC: Tensor, packing: Packing, probability: float) -> Tensor:
        """16 random bits an entry; the host must know the number of rows."""
        threshold = round(probability * _LEVELS)
        drop = torch.zeros(values_MNC.shape, dtype=torch.bool)
        for member, (rng, rows) in enumerate(zip(self.rngs, packing.most_rows, strict=True)):
            drawn = np.frombuffer(rng.bytes(2 * rows * values_MNC.shape[-1]), dtype=np.uint16)
            drop[member, :rows] = torch.from_numpy(drawn < threshold).view(rows, -1)
        return drop.to(values_MNC.device)

    def uniform_rows(self, packing: Packing) -> Tensor:
        """Zeros for filler."""
        out = torch.zeros(packing.sequence_MN.shape)
        for row, rng, count in zip(out, self.rngs, packing.most_rows, strict=True):
            row[:count] = torch.from_numpy(rng.random(count, dtype=np.float32))
        return out.to(packing.sequence_MN.device)

    def uniform(self, packing: Packing) -> Tensor:
        """float32."""
        drawn = [rng.random(packing.num_sequences, dtype=np.float32) for rng in self.rngs]
        return torch.from_numpy(np.stack(drawn)).to(packing.sequence_MN.device)

    def whole(self, below: int, packing: Packing) -> Tensor:
        """Zeros for filler."""
        out = torch.zeros(packing.sequence_MN.shape, dtype=torch.int64)
        for row, rng, count in zip(out, self.rngs, packing.most_rows, strict=True):
            row[:count] = torch.from_numpy(rng.integers(below, size=count))
        return out.to(packing.sequence_MN.device)


@dataclass(frozen=True)
class DeviceDraws:
    """Drawn where the tensors are, one generator a member."""

    generators: Sequence[torch.Generator]

    @classmethod
    def of(cls, seeds: Sequence[int], step: int, device: torch.device) -> DeviceDraws:
        """The draws of one update."""
        digests = [np.random.SeedSequence([seed, 1, step]).generate_state(2) for seed in seeds]
        return cls(
            [
                torch.Generator(device).manual_seed(int(high) << 31 | int(low) >> 1)
                for high, low in digests
            ]
        )

    def twin(self) -> DeviceDraws:
        """Generators of its own, with the same seeds."""
        return DeviceDraws(
            [
                torch.Generator(generator.device).manual_seed(generator.initial_seed())
                for generator in self.generators
            ]
        )

    def sow_as(self, other: DeviceDraws) -> None:
        """Begin anew with the seeds of the other."""
        for own, its in zip(self.generators, other.generators, strict=True):
            own.manual_seed(its.initial_seed())

    def dropped(self, values_MNC: Tensor, packing: Packing, probability: float) -> Tensor:
        """Of filler too."""
        del packing
        drop = torch.empty(values_MNC.shape, dtype=torch.bool, device=values_MNC.device)
        for rows, generator in zip(drop, self.generators, strict=True):
            rows.bernoulli_(round(probability * _LEVELS) / _LEVELS, generator=generator)
        return drop

    def uniform_rows(self, packing: Packing) -> Tensor:
        """Of filler too."""
        return self._uniform(packing, packing.sequence_MN.shape[1])

    def uniform(self, packing: Packing) -> Tensor:
        """float32."""
        return self._uniform(packing, packing.num_sequences)

    def whole(self, below: int, packing: Packing) -> Tensor:
        """Of filler too."""
        return (self.uniform_rows(packing) * below).long().clamp_max(below - 1)

    def _uniform(self, packing: Packing, count: int) -> Tensor:
        out = torch.empty(
            len(self.generators), count, dtype=torch.float32, device=packing.sequence_MN.device
        )
        for row, generator in zip(out, self.generators, strict=True):
            row.uniform_(generator=generator)
        return out


def rescale(probability: float) -> float:
    """What dropout multiplies the entries that it leaves by."""
    return 1.0 / (1.0 - round(probability * _LEVELS) / _LEVELS)
