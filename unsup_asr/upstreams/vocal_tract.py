"""Vocal tract length normalisation: one factor of the frequencies a speaker, without labels.

A mixture of Gaussians describes the frames of all speakers together; each speaker gets the factor
under which it finds that speaker's frames likeliest, the mixture is fitted again to the frames so
warped, and so on (Lee and Rose 1998, with a mixture in the place of a recogniser). Clusters of
segments then have less of the speaker in them and more of the phone.

Axes: T frames, E dims.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from unsup_asr.formats.warps import Warps
from unsup_asr.ranges import Positive, PositiveInt, Seed, Warp
from unsup_asr.types import Float32Array


@dataclass(frozen=True)
class VocalTracts:
    """What `VocalTractNormalisation.fit` has found; `chosen` are indices of `warps` by speaker."""

    mixture: GaussianMixture
    warps: Warps
    chosen: dict[str, int]

    def likeliest(self, frames_TE: Float32Array) -> int:
        """The index of the warp of a speaker who was not there when the mixture was fitted."""
        return _likeliest(self.mixture, self.warps, frames_TE)


@dataclass(frozen=True, kw_only=True)
class VocalTractNormalisation:
    """Options. Of each speaker about `frames_a_speaker` are looked at, and the mixture is fitted to
    about `num_frames` of all of them. Few components: a mixture that knows each speaker by heart
    changes none. `floor` is added to variances of dims that have variance 1.
    """

    max_factor: Warp = 1.2
    num_components: PositiveInt = 16
    frames_a_component: PositiveInt = 200  # at least
    num_rounds: PositiveInt = 4
    num_iterations: PositiveInt = 20  # of expectation and maximisation in a round
    frames_a_speaker: PositiveInt = 1500
    num_frames: PositiveInt = 40_000
    floor: Positive = 1e-2
    seed: Seed = 0

    def fit(self, frames: Mapping[str, Float32Array], warps: Warps) -> VocalTracts:
        """Factors of speakers, 1 on average; `frames` (T, E) are normalised, by speaker."""
        warps = warps.within(self.max_factor)
        chosen = dict.fromkeys(frames, warps.unchanged)
        for _ in range(self.num_rounds):
            mixture = self._mixture([warps.of(x, chosen[who]) for who, x in frames.items()])
            found = {who: _likeliest(mixture, warps, x) for who, x in frames.items()}
            excess = round(float(np.mean(list(found.values())))) - warps.unchanged
            last = len(warps.factors_W) - 1
            chosen = {who: int(np.clip(w - excess, 0, last)) for who, w in found.items()}
        mixture = self._mixture([warps.of(x, chosen[who]) for who, x in frames.items()])
        return VocalTracts(mixture, warps, chosen)

    def _mixture(self, frames: list[Float32Array]) -> GaussianMixture:
        rows_TE = np.concatenate(frames)
        rows_TE = rows_TE[:: -(-len(rows_TE) // self.num_frames)]
        most = max(1, len(rows_TE) // self.frames_a_component)
        mixture = GaussianMixture(
            min(self.num_components, most),
            covariance_type="diag",
            max_iter=self.num_iterations,
            reg_covar=self.floor,
            init_params="k-means++",
            random_state=self.seed,
        )
        with warnings.catch_warnings():  # the last percent of the likelihood moves no speaker
            warnings.simplefilter("ignore", ConvergenceWarning)
            return mixture.fit(rows_TE)


def _likeliest(mixture: GaussianMixture, warps: Warps, frames_TE: Float32Array) -> int:
    scores = [mixture.score(warps.of(frames_TE, w)) for w in range(len(warps.factors_W))]
    return int(np.argmax(scores))


def speaker_samples(
    features: Mapping[str, Float32Array], speakers: Mapping[str, str], num_frames: int
) -> dict[str, Float32Array]:
    """About so many frames of each speaker, evenly out of all; `features` by utterance id."""
    total: dict[str, int] = {}
    for utterance_id in features:
        who = speakers[utterance_id]
        total[who] = total.get(who, 0) + len(features[utterance_id])
    chosen: dict[str, list[Float32Array]] = {who: [] for who in total}
    for utterance_id in features:
        who = speakers[utterance_id]
        step = -(-total[who] // num_frames)
        chosen[who].append(np.array(features[utterance_id][::step]))
    return {who: np.concatenate(rows) for who, rows in chosen.items()}
