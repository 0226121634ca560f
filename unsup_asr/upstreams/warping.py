"""Features as a voice with another length of vocal tract would have them (VTLP, Jaitly and Hinton
2013), by one matrix a frame.

A vocal tract that is shorter by a factor has its resonances higher by the same factor: the mel axis
is warped. On log mel energies that is an interpolation between bins, on cepstra the same between
two cosine transforms (Umesh et al. 2005), and deltas are sums of statics, so they take the same
matrix. Features are normalised by voice; so is what the warp makes of them.

Axes: D dims of an upstream, E dims with deltas, W factors.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from unsup_asr.formats.warps import Warps
from unsup_asr.types import Float64Array

# As far as the range `Warp` goes, and steps of 2 %.
FACTORS = np.exp(np.linspace(-np.log(1.3), np.log(1.3), 27))


@runtime_checkable
class Warpable(Protocol):
    """An upstream whose frames can be warped by a matrix."""

    def warp(self, factor: float) -> Float64Array:
        """(D, D): its product with a frame is that frame with all frequencies times `factor`."""
        ...


class FrameMoments:
    """Second moments of normalised frames, summed up as they come."""

    def __init__(self) -> None:
        self._sum_EE: NDArray[np.float64] | None = None
        self._num_frames = 0

    def add(self, frames_TE: NDArray[np.floating]) -> None:
        """Those of an utterance."""
        wide_TE = frames_TE.astype(np.float64)
        product_EE = wide_TE.T @ wide_TE
        self._sum_EE = product_EE if self._sum_EE is None else self._sum_EE + product_EE
        self._num_frames += len(wide_TE)

    def mean(self) -> Float64Array:
        """(E, E); ValueError where no frame came."""
        if self._sum_EE is None or not self._num_frames:
            raise ValueError("no frame was added; features of 0 frames have no moments")
        return self._sum_EE / self._num_frames


def normalised_warps(upstream: Warpable, std_E: Float64Array, moments_EE: Float64Array) -> Warps:
    """Maps of normalised frames (statics, and as many blocks of deltas as `std_E` has).

    `std_E` are a voice's usual deviations, `moments_EE` of its normalised frames (FrameMoments):
    what comes out has variance 1 in every dimension again.
    """
    maps = []
    for factor in FACTORS:
        warp_DD = upstream.warp(float(factor))
        blocks_EE = np.kron(np.eye(len(std_E) // len(warp_DD)), warp_DD)
        map_EE = blocks_EE * std_E
        deviation_E = np.sqrt(np.einsum("ij,jk,ik->i", map_EE, moments_EE, map_EE))
        maps.append(map_EE / np.maximum(deviation_E, 1e-10)[:, None])
    return Warps(FACTORS.astype(np.float32), np.stack(maps).astype(np.float32))
