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

    lengths_MB: Tensor  # int64, rows of each sequence
    num_rows: int  # of each member, filler included
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
        num_rows = rounded_up(max(totals), granule)
        return cls(there_MB, num_rows, totals, host_lengths_MB, granule=granule)

    @classmethod
    def within(cls, lengths_MB: Tensor, most_rows: tuple[int, ...], *, granule: int = 1) -> Packing:
        """Lay them out in rows enough for `most_rows` of each member, without reading them."""
        return cls(
            lengths_MB, rounded_up(max(most_rows), granule), most_rows, None, granule=granule
        )

    def with_lengths(
        self, change: Callable[[Tensor], Tensor], most: Callable[[int], int] | None = None
    ) -> Packing:
        """The same sequences with lengths that follow from these.

        `most` gives, of so many rows of all sequences together, how many there can be after the
        change: with it nothing is read where the host does not know the lengths.
        """
        if self.host_lengths_MB is not None:
            changed_MB, device = change(self.host_lengths_MB), self.lengths_MB.device
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
        most_rows = (self.num_rows,) * len(self.lengths_MB)
        return Packing(self.lengths_MB, self.num_rows, most_rows, None, granule=self.granule)

    def to(self, device: torch.device | str) -> Packing:
        """The same on another device; what the host knows stays there."""
        return replace(self, lengths_MB=self.lengths_MB.to(device))

    @property
    def num_sequences(self) -> int:
        """Of each member; also the number of the sequence that filler belongs to."""
        return self.lengths_MB.shape[1]

    @cached_property
    def sequence_MN(self) -> Tensor:
        """Sequence of each row, int64: non-decreasing along N."""
        rows_MN = self.row_N.expand(len(self.lengths_MB), -1).contiguous()
        return torch.searchsorted(self._edges_MB[:, 1:-1].contiguous(), rows_MN, right=True)

    @cached_property
    def is_filler_MN(self) -> Tensor:
        """True past the last row of a member."""
        return self.sequence_MN == self.num_sequences

    @property
    def starts_MB(self) -> Tensor:
        """First row of each sequence; one more entry for where the filler starts."""
        return self._edges_MB[:, :-1]

    @cached_property
    def position_MN(self) -> Tensor:
        """Index of each row in its sequence."""
        return self.row_N - self.starts_MB.gather(1, self.sequence_MN)

    @cached_property
    def rows_left_MN(self) -> Tensor:
        """How many rows follow in the same sequence, or in the filler."""
        return self._edges_MB[:, 1:].gather(1, self.sequence_MN) - (self.row_N + 1)

    @cached_property
    def row_N(self) -> Tensor:
        """Numbers of rows."""
        return torch.arange(self.num_rows, device=self.lengths_MB.device)

    @cached_property
    def _edges_MB(self) -> Tensor:
        """Where sequences start, where the filler does, and where it ends."""
        ends = self.lengths_MB.cumsum(1)
        first, last = torch.zeros_like(ends[:, :1]), torch.full_like(ends[:, :1], self.num_rows)
        return torch.cat([first, ends, last], dim=1)

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
        """Each row's value of its sequence; for filler that of the last."""
        return values_MB.gather(1, self._spoken_MN)

    @cached_property
    def _spoken_MN(self) -> Tensor:
        """Sequence of each row, the last one for filler."""
        return self.sequence_MN.clamp_max(self.num_sequences - 1)


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
        device = first.lengths_MB.device
        pairs = Packing.of_lengths(shorter_MB, granule=first.granule, device=device)
    rows = []
    for packing in (first, second):
        row = packing.starts_MB.gather(1, pairs.sequence_MN) + pairs.position_MN
        rows.append(row.clamp_max(packing.num_rows - 1))
    return pairs, rows[0], rows[1]


def take_rows(values_MNC: Tensor, rows_MR: Tensor) -> Tensor:
    """Rows of each member: (M, R, C)."""
    num_members, num_rows, channels = values_MNC.shape
    if num_members > 1:
        rows_MR = rows_MR + num_rows * torch.arange(num_members, device=rows_MR.device)[:, None]
    taken = values_MNC.reshape(-1, channels).index_select(0, rows_MR.flatten())
    return taken.view(*rows_MR.shape, channels)


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
    return _Windows.apply(values_MNC, _Gaps(packing, left, right))


def fold_windows(windows_MNKC: Tensor, packing: Packing, *, left: int, right: int) -> Tensor:
    """The transpose of `windows`: add every window entry to the row it was read from, (M, N, C).

    Sums and result are float32 where the entries are of fewer bits.
    """
    return _FoldWindows.apply(windows_MNKC, _Gaps(packing, left, right))


def rounded_up(rows: int, granule: int) -> int:
    """To a multiple of the granule."""
    return -(-rows // granule) * granule


class _Gaps:
    """Where rows lie in a buffer with gaps of zeros between sequences, which windows run into."""

    def __init__(self, packing: Packing, left: int, right: int) -> None:
        self.packing, self.left, self.right = packing, left, right
        self.num_taps, self.size = left + 1 + right, max(left, right)
        self.members = len(packing.lengths_MB)
        self.rows_a_member = packing.num_rows + self.size * (packing.num_sequences + 2)
        self.span = self.members * self.rows_a_member - 2 * self.size

    @cached_property
    def places(self) -> Tensor:
        """Of all members' rows, counted from the end of the first gap."""
        packing = self.packing
        places_MN = torch.add(packing.row_N, packing.sequence_MN, alpha=self.size)
        if self.members > 1:
            member_M1 = torch.arange(self.members, device=places_MN.device)[:, None]
            places_MN = places_MN + self.rows_a_member * member_M1
        return places_MN.flatten()

    def spread(self, rows_MNC: Tensor) -> Tensor:
        """The buffer with these rows in it."""
        channels = rows_MNC.shape[-1]
        buffer = rows_MNC.new_zeros(self.members * self.rows_a_member, channels)
        buffer[self.size :].index_copy_(0, self.places, rows_MNC.reshape(-1, channels))
        return buffer


def _gather_windows(values_MNC: Tensor, gaps: _Gaps) -> Tensor:
    members, rows, channels = values_MNC.shape
    overlapping = gaps.spread(values_MNC).as_strided(
        (gaps.span, gaps.num_taps * channels), (channels, 1), (gaps.size - gaps.left) * channels
    )
    return overlapping.index_select(0, gaps.places).view(members, rows, -1)


def _add_windows(windows_MNKC: Tensor, gaps: _Gaps) -> Tensor:
    """All taps in one sum, or on a CPU tap by tap, whose caches then hold what is added."""
    members, rows, width = windows_MNKC.shape
    channels = width // gaps.num_taps
    dtype = torch.promote_types(windows_MNKC.dtype, torch.float32)
    if windows_MNKC.device.type == "cpu":
        return _add_taps(windows_MNKC.unflatten(2, (gaps.num_taps, channels)), gaps, dtype)
    # row r is the sum over taps of what the window of row r + left - tap holds, last tap first
    overlapping = gaps.spread(windows_MNKC).as_strided(
        (gaps.span, gaps.num_taps, channels),
        (width, width - channels, 1),
        (gaps.size - gaps.right) * width + width - channels,
    )
    added = overlapping.sum(1, dtype=dtype).index_select(0, gaps.places)
    return added.view(members, rows, channels)


def _add_taps(taps_MNKC: Tensor, gaps: _Gaps, dtype: torch.dtype) -> Tensor:
    """Shift by shift, in place: rows of one sequence are neighbours."""
    members, rows, num_taps, channels = taps_MNKC.shape
    out = taps_MNKC.new_zeros(members, rows, channels, dtype=dtype)
    sequence = gaps.packing.sequence_MN
    for tap in range(num_taps):
        ahead = gaps.left - tap  # the window that reads row r at this tap is row r + ahead
        near, far = slice(0, max(0, rows - abs(ahead))), slice(min(rows, abs(ahead)), rows)
        to, source = (near, far) if ahead >= 0 else (far, near)
        is_same_MN1 = (sequence[:, to] == sequence[:, source])[..., None].to(dtype)
        out[:, to].addcmul_(taps_MNKC[:, source, tap].to(dtype), is_same_MN1)
    return out


class _Windows(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values_MNC: Tensor, gaps: _Gaps) -> Tensor:
        ctx.gaps = gaps
        return _gather_windows(values_MNC, gaps)

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> tuple[Tensor, None]:
        return _add_windows(gradients[0], ctx.gaps).to(gradients[0].dtype), None


class _FoldWindows(torch.autograd.Function):
    @staticmethod
    def forward(ctx, windows_MNKC: Tensor, gaps: _Gaps) -> Tensor:
        ctx.gaps, ctx.dtype = gaps, windows_MNKC.dtype
        return _add_windows(windows_MNKC, gaps)

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> tuple[Tensor, None]:
        return _gather_windows(gradients[0].to(ctx.dtype), ctx.gaps), None
