"""JOIN: neighbouring segments with the same best phone become one.

Baevski et al. 2021, "segment merging": in training one segment of each run speaks for it, drawn at
random; in evaluation the mean of the run's logits does. The choice is not differentiable, so
gradients reach the drawn segment's logits only.

Axes: M members, N packed rows, J joined rows, V phones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gan.packing import Packing, take_rows


def join_random(
    logits_MNV: Tensor, packing: Packing, uniform_MN: Tensor, *, fixed_rows: bool = False
) -> tuple[Tensor, Packing]:
    """Keep one row of each run: its start + floor(length * u), u in [0, 1) of its first row.

    With `fixed_rows` the output has as many rows as the input, filler at the end, and the host
    need not know how many runs there are.
    """
    starts_MJ, joined = run_starts(logits_MNV, packing, fixed_rows=fixed_rows)
    ends_MJ = _next_starts(starts_MJ, packing, joined)
    lengths_MJ = ends_MJ - starts_MJ
    drawn_MJ = (uniform_MN.gather(1, starts_MJ) * lengths_MJ).long()
    picked_MJ = starts_MJ + torch.minimum(drawn_MJ, (lengths_MJ - 1).clamp_min(0))
    return take_rows(logits_MNV, picked_MJ).masked_fill(joined.is_filler_MN[..., None], 0.0), joined


def run_starts(
    logits_MNV: Tensor, packing: Packing, *, fixed_rows: bool = False
) -> tuple[Tensor, Packing]:
    """First row of every run of equal argmax, and the packing of the runs."""
    is_start_MN = _is_run_start(logits_MNV, packing)
    runs_MB = packing.sum_rows(is_start_MN.long())
    joined = (
        Packing.within(runs_MB, packing.most_rows, granule=packing.granule)
        if fixed_rows
        else Packing.of_lengths(runs_MB)
    )
    num_members, num_runs = joined.sequence_MN.shape
    rank_MN = is_start_MN.long().cumsum(1) - 1
    rows_MN = torch.arange(is_start_MN.shape[1], device=rank_MN.device).expand_as(rank_MN)
    starts_MJ = rank_MN.new_zeros(num_members, num_runs + 1)  # the last takes all other rows
    starts_MJ.scatter_(1, rank_MN.masked_fill(~is_start_MN, num_runs), rows_MN)
    return starts_MJ[:, :-1], joined


def padded_columns(packing: Packing, joined: Packing) -> Tensor:
    """Columns of fairseq's batch after JOIN, (M,): the padding of a sequence that is shorter than
    the longest is a run too, which is counted before it is dropped.
    """
    is_shorter_MB = packing.lengths_MB < packing.width_M[:, None]
    return (joined.lengths_MB + is_shorter_MB).amax(1)


def _is_run_start(logits_MNV: Tensor, packing: Packing) -> Tensor:
    best_MN = logits_MNV.detach().argmax(-1)
    changes_MN = torch.ones_like(best_MN, dtype=torch.bool)
    sequence = packing.sequence_MN
    changes_MN[:, 1:] = (best_MN[:, 1:] != best_MN[:, :-1]) | (sequence[:, 1:] != sequence[:, :-1])
    return changes_MN & ~packing.is_filler_MN


def _next_starts(starts_MJ: Tensor, packing: Packing, joined: Packing) -> Tensor:
    """Row after the last of each run: where the next run starts, or where the filler does."""
    end_M1 = (~packing.is_filler_MN).sum(1, keepdim=True)
    following = torch.cat([starts_MJ[:, 1:], torch.zeros_like(starts_MJ[:, :1])], dim=1)
    is_last = torch.cat(
        [joined.is_filler_MN[:, 1:], torch.ones_like(joined.is_filler_MN[:, :1])], dim=1
    )
    ends_MJ = torch.where(is_last, end_M1.expand_as(following), following)
    return torch.where(joined.is_filler_MN, starts_MJ, ends_MJ)
