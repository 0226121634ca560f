"""Mixtures of diagonal Gaussians, one a state, fitted by EM on frames whose state is known.

Axes: T frames, D dims, S states, C components.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

LabelledFrames = tuple[Tensor, Tensor]  # (T, D), and the state of each frame

_CHUNK_FRAMES = 2000  # frames whose densities stay in the caches
_ALL = slice(None)
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

    def log_likelihood(self, frames: Iterable[LabelledFrames]) -> float:
        """Mean over frames of log p(x | its state)."""
        total, count = torch.zeros((), dtype=torch.float64, device=self.mean_SCD.device), 0
        for frames_TD, state_T in frames:
            count += len(state_T)
            for state, place in _frames_by_state(state_T):
                total += self._joint(frames_TD[place], state).logsumexp(-1).double().sum()
            del frames_TD, state_T  # before the next block is made
        return float(total) / count

    def fitted(self, frames: Iterable[LabelledFrames], *, floor_D: Tensor) -> DiagonalMixtures:
        """One step of EM within each frame's state; the likelihood of the frames cannot fall, but
        for variances held up by `floor_D`. States without frames stay as they are.

        Frames come in blocks, of which only sums are kept.
        """
        count_SC = torch.zeros_like(self.weight_SC, dtype=torch.float64)
        first_SCD = torch.zeros_like(self.mean_SCD, dtype=torch.float64)
        second_SCD = torch.zeros_like(first_SCD)
        for frames_TD, state_T in frames:
            for state, place in _frames_by_state(state_T):
                x_ND = frames_TD[place]
                share_CN = torch.softmax(self._joint(x_ND, state)[:, 0], -1).double().T
                count_SC[state] += share_CN.sum(1)
                first_SCD[state] += share_CN @ x_ND.double()
                second_SCD[state] += share_CN @ x_ND.double().square()
            del frames_TD, state_T  # before the next block is made
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

    def to(self, device: torch.device) -> DiagonalMixtures:
        """The same on a device."""
        return DiagonalMixtures(
            self.weight_SC.to(device), self.mean_SCD.to(device), self.variance_SCD.to(device)
        )

    def split(self) -> DiagonalMixtures:
        """Twice the components: each parts in two along its standard deviations."""
        step_SCD = _SPLIT * self.variance_SCD.sqrt()
        return DiagonalMixtures(
            torch.cat([self.weight_SC, self.weight_SC], 1) / 2,
            torch.cat([self.mean_SCD + step_SCD, self.mean_SCD - step_SCD], 1),
            torch.cat([self.variance_SCD, self.variance_SCD], 1),
        )

    def _joint(self, frames_TD: Tensor, state: int | slice = _ALL) -> Tensor:
        """log w_sc N(x; s, c), (T, S, C), as one product: the square is multiplied out."""
        components, dims = self.mean_SCD.shape[1:]
        variance = self.variance_SCD[state].reshape(-1, dims)
        precision, mean = 1.0 / variance, self.mean_SCD[state].reshape(-1, dims)
        constant = (
            self.weight_SC[state].clamp_min(1e-10).log().reshape(-1)
            - 0.5 * dims * math.log(2 * math.pi)
            - 0.5 * variance.log().sum(-1)
            - 0.5 * (mean.square() * precision).sum(1)
        )
        coefficients = torch.cat([mean * precision, -0.5 * precision, constant[:, None]], 1)
        terms = torch.cat([frames_TD, frames_TD.square(), frames_TD.new_ones(len(frames_TD), 1)], 1)
        return (terms @ coefficients.T).view(len(frames_TD), -1, components)


def first_mixtures(frames: Iterable[LabelledFrames], *, num_states: int) -> DiagonalMixtures:
    """One Gaussian a state, that of all frames: where a state that is never seen stays."""
    first_D, second_D, count = torch.zeros(()), torch.zeros(()), 0
    for frames_TD, _ in frames:
        wide_TD = frames_TD.double()
        first_D = first_D.to(wide_TD) + wide_TD.sum(0)
        second_D = second_D.to(wide_TD) + wide_TD.square().sum(0)
        count += len(wide_TD)
        del frames_TD, wide_TD  # before the next block is made
    mean_D = first_D / count
    variance_D = (second_D / count - mean_D.square()).clamp_min(1e-6)
    return DiagonalMixtures(
        torch.ones(num_states, 1, device=mean_D.device),
        mean_D.float().expand(num_states, 1, -1).clone(),
        variance_D.float().expand(num_states, 1, -1).clone(),
    )


def _frames_by_state(state_T: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Each state that is there, and the indices of its frames."""
    order = torch.argsort(state_T, stable=True)
    states, counts = torch.unique_consecutive(state_T[order], return_counts=True)
    yield from zip(states.tolist(), order.split(counts.tolist()), strict=True)
