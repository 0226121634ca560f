"""Mixtures of diagonal Gaussians, one a state, fitted by EM on frames whose state is known.

Axes: T frames, D dims, S states, C components.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

_CHUNK_FRAMES = 20_000  # frames whose densities are in memory at once
_SPLIT = 0.2  # halves of a split component part by so many standard deviations


@dataclass(frozen=True)
class DiagonalMixtures:
    """log p(x | s) = log sum_c w_sc N(x; mean_sc, diag variance_sc)."""

    weight_SC: Tensor
    mean_SCD: Tensor
    variance_SCD: Tensor

    def log_density(self, frames_TD: Tensor) -> Tensor:
        """(T, S), natural logarithm."""
        logs = [self._joint(chunk).logsumexp(-1) for chunk in frames_TD.split(_CHUNK_FRAMES)]
        return torch.cat(logs) if logs else frames_TD.new_zeros(0, len(self.weight_SC))

    def fitted(self, frames_TD: Tensor, state_T: Tensor, *, floor_D: Tensor) -> DiagonalMixtures:
        """One step of EM within each frame's state; the likelihood of the frames cannot fall, but
        for variances held up by `floor_D`. States without frames stay as they are.
        """
        states, components, dims = self.mean_SCD.shape
        count_SC = frames_TD.new_zeros(states, components, dtype=torch.float64)
        first_SCD = count_SC.new_zeros(states, components, dims)
        second_SCD = torch.zeros_like(first_SCD)
        for chunk_TD, state in _chunks(frames_TD, state_T):
            own = self._joint(chunk_TD)[torch.arange(len(state)), state]
            share_TC = torch.softmax(own, -1).double()
            x_TD = chunk_TD.double()
            count_SC.index_add_(0, state, share_TC)
            for c in range(components):
                weighed_TD = share_TC[:, c : c + 1] * x_TD
                first_SCD[:, c].index_add_(0, state, weighed_TD)
                second_SCD[:, c].index_add_(0, state, weighed_TD * x_TD)
        is_seen_SC = count_SC > 1e-3
        safe_SC1 = count_SC.clamp_min(1e-3)[..., None]
        mean_SCD = first_SCD / safe_SC1
        variance_SCD = (second_SCD / safe_SC1 - mean_SCD.square()).maximum(floor_D.double())
        total_S1 = count_SC.sum(1, keepdim=True)
        weight_SC = torch.where(
            total_S1 > 0, count_SC / total_S1.clamp_min(1e-3), self.weight_SC.double()
        )
        return DiagonalMixtures(
            weight_SC.float(),
            torch.where(is_seen_SC[..., None], mean_SCD.float(), self.mean_SCD),
            torch.where(is_seen_SC[..., None], variance_SCD.float(), self.variance_SCD),
        )

    def split(self) -> DiagonalMixtures:
        """Twice the components: each parts in two along its standard deviations."""
        step_SCD = _SPLIT * self.variance_SCD.sqrt()
        return DiagonalMixtures(
            torch.cat([self.weight_SC, self.weight_SC], 1) / 2,
            torch.cat([self.mean_SCD + step_SCD, self.mean_SCD - step_SCD], 1),
            torch.cat([self.variance_SCD, self.variance_SCD], 1),
        )

    def _joint(self, frames_TD: Tensor) -> Tensor:
        """log w_sc N(x; s, c), (T, S, C): the square is multiplied out into two products."""
        states, components, dims = self.mean_SCD.shape
        precision = (1.0 / self.variance_SCD).reshape(-1, dims)
        mean = self.mean_SCD.reshape(-1, dims)
        constant = (
            self.weight_SC.clamp_min(1e-10).log().reshape(-1)
            - 0.5 * dims * math.log(2 * math.pi)
            - 0.5 * self.variance_SCD.log().sum(-1).reshape(-1)
            - 0.5 * (mean.square() * precision).sum(1)
        )
        flat = constant + frames_TD @ (mean * precision).T - 0.5 * frames_TD.square() @ precision.T
        return flat.view(len(frames_TD), states, components)


def first_mixtures(frames_TD: Tensor, *, num_states: int) -> DiagonalMixtures:
    """One Gaussian a state, that of all frames: where a state that is never seen stays."""
    mean_D, variance_D = frames_TD.mean(0), frames_TD.var(0, unbiased=False).clamp_min(1e-6)
    return DiagonalMixtures(
        torch.ones(num_states, 1),
        mean_D.expand(num_states, 1, -1).clone(),
        variance_D.expand(num_states, 1, -1).clone(),
    )


def _chunks(frames_TD: Tensor, state_T: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    yield from zip(frames_TD.split(_CHUNK_FRAMES), state_T.split(_CHUNK_FRAMES), strict=True)
