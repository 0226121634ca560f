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
        """How many rows follow in the same sequence, or in the filler."""
        filler_M1 = self.sequence_MN.shape[1] - self.starts_MB[:, -1:]
        lengths = torch.cat([self.lengths_MB, filler_M1], dim=1)
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
    return _Windows.apply(values_MNC, packing, left, right)


def fold_windows(
    windows_MNKC: Tensor,
    packing: Packing,
    *,
    left: int,
    right: int,
    rows_MR: Tensor | None = None,
) -> Tensor:
    """The transpose of `windows`: add every window entry to the row it was read from.

    (M, N, C), or (M, R, C) where only some rows are asked for; sums and result are float32 where
    the entries are of fewer bits. Filler rows come out as sums of filler.
    """
    return _FoldWindows.apply(windows_MNKC, _FoldIndex(packing, left, right, rows_MR))


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


class _FoldIndex:
    """Which entries of the windows are added to which rows."""

    def __init__(
        self, packing: Packing, left: int, right: int, rows_MR: Tensor | None = None
    ) -> None:
        members, num_rows = packing.sequence_MN.shape
        device, num_taps = packing.sequence_MN.device, left + 1 + right
        before, after, rows = packing.position_MN, packing.rows_left_MN, rows_MR
        if rows is None:
            rows = torch.arange(num_rows, device=device).expand(members, -1)
        else:
            before, after = before.gather(1, rows), after.gather(1, rows)
        taps = torch.arange(num_taps, device=device)
        ahead = left - taps  # the window that reads row r at this tap is row r + ahead
        self.shape = (members, num_rows, num_taps)
        self.num_entries = members * num_rows * num_taps
        self.is_inside_MRK = (ahead <= after[..., None]) & (-ahead <= before[..., None])
        first_M1 = num_rows * torch.arange(members, device=device)[:, None]
        entries = (rows + first_M1)[..., None] * num_taps + (ahead * num_taps + taps)
        self.entries_MRK = entries.masked_fill(~self.is_inside_MRK, self.num_entries)


def _add_windows(windows_MNKC: Tensor, index: _FoldIndex) -> Tensor:
    """In few kernels, or on a CPU tap by tap, whose caches then hold what is added."""
    entries = windows_MNKC.reshape(index.num_entries, -1)
    dtype = torch.promote_types(entries.dtype, torch.float32)
    places_MRK = index.entries_MRK.clamp_max(index.num_entries - 1)
    if entries.device.type != "cpu":
        taken = entries.index_select(0, places_MRK.flatten()).view(*places_MRK.shape, -1)
        return taken.masked_fill_(~index.is_inside_MRK[..., None], 0.0).sum(2, dtype=dtype)
    out = entries.new_zeros(places_MRK[..., 0].numel(), entries.shape[-1], dtype=dtype)
    is_inside_KR1 = index.is_inside_MRK.flatten(0, 1).T[..., None].to(dtype)
    for places_R, is_inside_R1 in zip(places_MRK.flatten(0, 1).T, is_inside_KR1, strict=True):
        out.addcmul_(entries.index_select(0, places_R), is_inside_R1)
    return out.view(*places_MRK.shape[:2], -1)


def _share_rows(rows_MRC: Tensor, index: _FoldIndex, dtype: torch.dtype) -> Tensor:
    """Each row to every entry that was added to it; zero to those that were added to none."""
    channels = rows_MRC.shape[-1]
    out = rows_MRC.new_zeros(index.num_entries + 1, channels, dtype=dtype)  # the last: outside
    shared = rows_MRC.to(dtype)[:, :, None].expand(*index.entries_MRK.shape, channels)
    out.index_copy_(0, index.entries_MRK.flatten(), shared.reshape(-1, channels))
    return out[:-1].view(*index.shape[:2], -1)


class _Windows(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values_MNC: Tensor, packing: Packing, left: int, right: int) -> Tensor:
        ctx.fold = (packing, left, right)
        return _gather_windows(values_MNC, _WindowIndex(packing, left, right))

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        summed = _add_windows(gradients[0], _FoldIndex(*ctx.fold))
        return summed.to(gradients[0].dtype), None, None, None


class _FoldWindows(torch.autograd.Function):
    @staticmethod
    def forward(ctx, windows_MNKC: Tensor, index: _FoldIndex) -> Tensor:
        ctx.index, ctx.dtype = index, windows_MNKC.dtype
        return _add_windows(windows_MNKC, index)

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> tuple[Tensor, None]:
        return _share_rows(gradients[0], ctx.index, ctx.dtype), None
