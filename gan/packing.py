"""Sequences of unequal length laid end to end, so that no time is spent on padding.

Axes: M members, N packed rows, B sequences, C channels, K taps. A member's sequences follow one
another in its N rows; rows past its last one are filler, which belongs to sequence number B and
holds zeros. Convolutions are one gather and one matrix product: `windows` gives each row its
neighbours of the same sequence, zeros where there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Packing:
    """Which rows belong to which sequence.

    On an accelerator `host_lengths_MB` and `most_rows` answer what would otherwise make the host
    wait for the device.
    """

    sequence_MN: Tensor  # int64, non-decreasing along N; num_sequences marks filler
    num_sequences: int
    most_rows: tuple[int, ...]  # of each member; exact where the host knows the lengths
    host_lengths_MB: Tensor | None  # None where only the device knows them
    columns_M: Tensor | None = None  # of the padded batch that it stands for; None: as few as fit
    granule: int = 1  # the number of rows is a multiple of it, so that few shapes occur

    @classmethod
    def of_lengths(
        cls, lengths_MB: Tensor, *, granule: int = 1, device: torch.device | None = None
    ) -> Packing:
        """Lay out sequences of these lengths, padding with filler to the longest member.

        Reads the lengths: the host waits if they are on an accelerator. Rows are laid out on
        `device`, to which only the lengths are sent; None: where the lengths are.
        """
        host_lengths_MB = lengths_MB.cpu()
        totals = tuple(host_lengths_MB.sum(1).tolist())
        there_MB = lengths_MB if device is None else lengths_MB.to(device)
        sequence_MN = _sequence_of_rows(there_MB, rounded_up(max(totals), granule))
        return cls(sequence_MN, lengths_MB.shape[1], totals, host_lengths_MB, granule=granule)

    @classmethod
    def within(cls, lengths_MB: Tensor, most_rows: tuple[int, ...], *, granule: int = 1) -> Packing:
        """Lay them out in rows enough for `most_rows` of each member, without reading them."""
        sequence_MN = _sequence_of_rows(lengths_MB, rounded_up(max(most_rows), granule))
        return cls(sequence_MN, lengths_MB.shape[1], most_rows, None, granule=granule)

    def with_lengths(
        self, change: Callable[[Tensor], Tensor], most: Callable[[int], int] | None = None
    ) -> Packing:
        """The same sequences with lengths that follow from these.

        `most` gives, of so many rows of all sequences together, how many there can be after the
        change: with it nothing is read where the host does not know the lengths.
        """
        if self.host_lengths_MB is not None:
            changed_MB, device = change(self.host_lengths_MB), self.sequence_MN.device
            return Packing.of_lengths(changed_MB, granule=self.granule, device=device)
        if most is None:
            return Packing.of_lengths(change(self.lengths_MB), granule=self.granule)
        most_rows = tuple(map(most, self.most_rows))
        return Packing.within(change(self.lengths_MB), most_rows, granule=self.granule)

    def known(self, lengths_MB: Tensor) -> Packing:
        """The same, told the host's lengths."""
        totals = tuple(lengths_MB.sum(1).tolist())
        return replace(self, most_rows=totals, host_lengths_MB=lengths_MB)

    def unread(self) -> Packing:
        """The same layout, of which the host knows nothing but how many rows there are."""
        members, rows = self.sequence_MN.shape
        return Packing(
            self.sequence_MN, self.num_sequences, (rows,) * members, None, granule=self.granule
        )

    def to(self, device: torch.device | str) -> Packing:
        """The same on another device; what the host knows stays there."""
        return replace(self, sequence_MN=self.sequence_MN.to(device))

    @cached_property
    def is_filler_MN(self) -> Tensor:
        """True past the last row of a member."""
        return self.sequence_MN == self.num_sequences

    @cached_property
    def lengths_MB(self) -> Tensor:
        """Rows of each sequence."""
        counts = self.sequence_MN.new_zeros(len(self.sequence_MN), self.num_sequences + 1)
        counts.scatter_add_(1, self.sequence_MN, torch.ones_like(self.sequence_MN))
        return counts[:, :-1]

    @cached_property
    def starts_MB(self) -> Tensor:
        """First row of each sequence; one more entry for where the filler starts."""
        ends = self.lengths_MB.cumsum(1)
        return torch.cat([torch.zeros_like(ends[:, :1]), ends], dim=1)

    @cached_property
    def position_MN(self) -> Tensor:
        """Index of each row in its sequence."""
        rows = torch.arange(self.sequence_MN.shape[1], device=self.sequence_MN.device)
        return rows - self.starts_MB.gather(1, self.sequence_MN)

    @cached_property
    def rows_left_MN(self) -> Tensor:
        """How many rows follow in the same sequence; meaningless for filler."""
        lengths = torch.cat([self.lengths_MB, torch.ones_like(self.lengths_MB[:, :1])], dim=1)
        return lengths.gather(1, self.sequence_MN) - 1 - self.position_MN

    @property
    def width_M(self) -> Tensor:
        """Columns of each member's batch if its sequences were padded."""
        return self.lengths_MB.amax(1) if self.columns_M is None else self.columns_M

    def sum_rows(self, values: Tensor) -> Tensor:
        """Sum (M, N, ...) over the rows of each sequence: (M, B, ...)."""
        index = self.sequence_MN
        out = values.new_zeros(values.shape[0], self.num_sequences + 1, *values.shape[2:])
        if values.dim() == 3:
            index = index[:, :, None].expand_as(values)
        return out.scatter_add(1, index, values)[:, :-1]

    def per_row(self, values_MB: Tensor) -> Tensor:
        """Each row's value of its sequence; 0 for filler."""
        padded = torch.cat([values_MB, torch.zeros_like(values_MB[:, :1])], dim=1)
        return padded.gather(1, self.sequence_MN)


def common_prefixes(first: Packing, second: Packing) -> tuple[Packing, Tensor, Tensor]:
    """Pair sequence b of one with b of the other, cut to the shorter.

    Returns the packing of the pairs and, for each of its rows, the row in `first` and in `second`.
    """
    if first.host_lengths_MB is None or second.host_lengths_MB is None:
        most_rows = tuple(map(min, first.most_rows, second.most_rows))
        shorter_MB = torch.minimum(first.lengths_MB, second.lengths_MB)
        pairs = Packing.within(shorter_MB, most_rows, granule=first.granule)
    else:
        shorter_MB = torch.minimum(first.host_lengths_MB, second.host_lengths_MB)
        device = first.sequence_MN.device
        pairs = Packing.of_lengths(shorter_MB, granule=first.granule, device=device)
    rows = []
    for packing in (first, second):
        row = packing.starts_MB.gather(1, pairs.sequence_MN) + pairs.position_MN
        rows.append(row.clamp_max(packing.sequence_MN.shape[1] - 1))
    return pairs, rows[0], rows[1]


def take_rows(values_MNC: Tensor, rows_MR: Tensor) -> Tensor:
    """Rows of each member: (M, R, C)."""
    num_members, num_rows, channels = values_MNC.shape
    offsets = torch.arange(num_members, device=rows_MR.device)[:, None] * num_rows
    flat = (rows_MR + offsets).flatten()
    return values_MNC.reshape(-1, channels).index_select(0, flat).view(*rows_MR.shape, channels)


def one_hot(ids: Tensor, count: int, dtype: torch.dtype) -> Tensor:
    """A one where an id is, (..., count); unlike torch's it reads no value to check it."""
    return (ids[..., None] == torch.arange(count, device=ids.device)).to(dtype)


def lengthened(values_MNC: Tensor, packing: Packing, longer: Packing, fill_MNC: Tensor) -> Tensor:
    """Each sequence cut or continued to its length in `longer`: (M, N', C), filler zero.

    `fill_MNC` (broadcast to the result) is what stands where a sequence has ended.
    """
    source_MN = packing.starts_MB.gather(1, longer.sequence_MN) + longer.position_MN
    taken = take_rows(values_MNC, source_MN.clamp_max(values_MNC.shape[1] - 1))
    has_ended_MN = longer.position_MN >= longer.per_row(packing.lengths_MB)
    continued = torch.where(has_ended_MN[..., None], fill_MNC.to(taken), taken)
    return continued.masked_fill(longer.is_filler_MN[..., None], 0.0)


def windows(values_MNC: Tensor, packing: Packing, *, left: int, right: int) -> Tensor:
    """Each row with `left` rows before and `right` after: (M, N, K * C), K = left + 1 + right.

    Rows outside the sequence read as zeros. Filler rows of `values_MNC` must be zero.
    """
    return _Windows.apply(values_MNC, _WindowIndex(packing, left, right))


def fold_windows(windows_MNKC: Tensor, packing: Packing, *, left: int, right: int) -> Tensor:
    """The transpose of `windows`: add every window entry to the row it was read from, (M, N, C)."""
    return _FoldWindows.apply(windows_MNKC, _WindowIndex(packing, left, right))


def rounded_up(rows: int, granule: int) -> int:
    """To a multiple of the granule."""
    return -(-rows // granule) * granule


def _sequence_of_rows(lengths_MB: Tensor, num_rows: int) -> Tensor:
    num_members, num_sequences = lengths_MB.shape
    filler_M1 = num_rows - lengths_MB.sum(1, keepdim=True)
    ids = torch.arange(num_sequences + 1, device=lengths_MB.device).repeat(num_members)
    rows = torch.repeat_interleave(
        ids,
        torch.cat([lengths_MB, filler_M1], dim=1).flatten(),
        output_size=num_members * num_rows,
    )
    return rows.view(num_members, num_rows)


class _WindowIndex:
    """Where each row lies in a buffer with gaps of zeros between sequences."""

    def __init__(self, packing: Packing, left: int, right: int) -> None:
        members, rows = packing.sequence_MN.shape
        gap = max(left, right)
        self.left, self.num_taps = left, left + 1 + right
        self.shape = (members, rows)
        self.sequence_MN = packing.sequence_MN
        self.num_buffer_rows = rows + gap * (packing.num_sequences + 2)
        device = packing.sequence_MN.device
        flat = torch.arange(rows, device=device) + gap * (packing.sequence_MN + 1)
        flat = flat + torch.arange(members, device=device)[:, None] * self.num_buffer_rows
        self.flat = flat.flatten()


def _gather_windows(values_MNC: Tensor, index: _WindowIndex) -> Tensor:
    members, rows = index.shape
    channels = values_MNC.shape[-1]
    buffer = values_MNC.new_zeros(members * index.num_buffer_rows, channels)
    buffer.index_copy_(0, index.flat, values_MNC.reshape(-1, channels))
    overlapping = buffer.as_strided(
        (len(buffer) - index.num_taps + 1, index.num_taps * channels), (channels, 1)
    )
    taken = overlapping.index_select(0, index.flat - index.left)
    return taken.view(members, rows, -1)


def _add_windows(windows_MNKC: Tensor, index: _WindowIndex) -> Tensor:
    """Shift by shift, in place: rows of one sequence are neighbours, so no index is needed."""
    members, rows = index.shape
    taps = windows_MNKC.reshape(members, rows, index.num_taps, -1)
    out = taps.new_zeros(members, rows, taps.shape[-1])
    sequence = index.sequence_MN
    for tap in range(index.num_taps):
        ahead = index.left - tap  # the window that reads row r at this tap is row r + ahead
        near, far = slice(0, max(0, rows - abs(ahead))), slice(min(rows, abs(ahead)), rows)
        to, source = (near, far) if ahead >= 0 else (far, near)
        is_same_MN1 = (sequence[:, to] == sequence[:, source])[..., None].to(out.dtype)
        out[:, to].addcmul_(taps[:, source, tap], is_same_MN1)
    return out


class _Windows(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values_MNC: Tensor, index: _WindowIndex) -> Tensor:
        ctx.index = index
        return _gather_windows(values_MNC, index)

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> tuple[Tensor, None]:
        return _add_windows(gradients[0], ctx.index), None


class _FoldWindows(torch.autograd.Function):
    @staticmethod
    def forward(ctx, windows_MNKC: Tensor, index: _WindowIndex) -> Tensor:
        ctx.index = index
        return _add_windows(windows_MNKC, index)

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> tuple[Tensor, None]:
        return _gather_windows(gradients[0], ctx.index), None
