"""Linear maps of features to those of other voices, as stage `features` keeps them for trainings.

Axes: W factors, E dims.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unsup_asr.formats.checked import read_array
from unsup_asr.types import Float32Array

_NO_CHANGE = 1e-6


@dataclass(frozen=True)
class Warps:
    """A frame x_E said by a voice whose frequencies are `factors_W[w]` times as high: maps[w] @ x.

    `factors_W` increases.
    """

    factors_W: Float32Array
    maps_WEE: Float32Array

    @property
    def unchanged(self) -> int:
        """The index of the factor that is nearest to 1."""
        return self.nearest(1.0)

    def nearest(self, factor: float) -> int:
        """The index of the factor that is nearest to a given one."""
        return int(np.abs(np.log(self.factors_W / factor)).argmin())

    def within(self, max_factor: float) -> Warps:
        """Those of factors from 1/max_factor to max_factor, and at least the unchanged one."""
        near_W = np.abs(np.log(self.factors_W)) <= np.log(max_factor) + _NO_CHANGE
        near_W[self.unchanged] = True
        return Warps(self.factors_W[near_W], self.maps_WEE[near_W])

    def of(self, frames_TE: Float32Array, warp: int) -> Float32Array:
        """The frames under the warp of that index."""
        return frames_TE @ self.maps_WEE[warp].T

    def write(self, folder: Path) -> None:
        """Write `factors.npy` and `maps.npy`."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "factors.npy", self.factors_W, allow_pickle=False)
        np.save(folder / "maps.npy", self.maps_WEE, allow_pickle=False)

    @classmethod
    def read(cls, folder: Path) -> Warps:
        """What `write` wrote; ValueError where the arrays do not belong together."""
        factors_W, maps_WEE = (read_array(folder / f"{name}.npy") for name in ("factors", "maps"))
        if (
            maps_WEE.ndim != 3
            or maps_WEE.shape[1] != maps_WEE.shape[2]
            or factors_W.shape != maps_WEE.shape[:1]
            or not np.isfinite(maps_WEE).all()
            or not (factors_W > 0).all()
        ):
            raise ValueError(
                f"{folder}: factors of shape {factors_W.shape} and maps of shape {maps_WEE.shape}; "
                "expected one finite square map for each positive factor"
            )
        return cls(factors_W, maps_WEE)
