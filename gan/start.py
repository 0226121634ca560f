"""How a generator reads a matched table so that its first map is that table, exactly.

Each segment's input is its standardised features beside the logarithm of its matched posteriors;
the first map is zero for the features and the identity for the rest. Nothing is lost at the start,
and the features can only add.

Axes: S segments, D dims, V phones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unsup_asr.types import Float32Array


@dataclass(frozen=True)
class MatchedStart:
    """The start named in a recipe; `floor` keeps a posterior of 0 from a weight of infinity."""

    floor: float = 1e-4

    def fit(self, features_ND: Float32Array, *, num_phones: int) -> MatchedInput:
        """Statistics of training segments."""
        return MatchedInput(features_ND.mean(0), float(features_ND.std()), num_phones, self.floor)


@dataclass(frozen=True)
class MatchedInput:
    """Features shifted by `mean_D` and divided by one `scale`, which keeps their proportions."""

    mean_D: Float32Array
    scale: float
    num_phones: int
    floor: float

    def rows(self, features_SD: Float32Array, matched_SV: Float32Array) -> Float32Array:
        """Generator input (S, D + V); ValueError where the two disagree."""
        expected = (len(features_SD), self.num_phones)
        if matched_SV.shape != expected:
            raise ValueError(
                f"matched posteriors have shape {matched_SV.shape}; expected (segments, phones) = "
                f"{expected}: were both made from the same segments?"
            )
        standard = (features_SD - self.mean_D) / self.scale
        logs = np.log(matched_SV + self.floor)
        return np.concatenate([standard, logs], axis=1).astype(np.float32)

    @property
    def first_map(self) -> Float32Array:
        """`generator_init` (D + V, V): ignore the features, repeat the matched posteriors."""
        zeros = np.zeros((len(self.mean_D), self.num_phones), dtype=np.float32)
        return np.concatenate([zeros, np.eye(self.num_phones, dtype=np.float32)])
