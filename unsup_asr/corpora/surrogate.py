"""Frames made of the TRUE alignments of a corpus: a stand-in for published features, for tests.

No recognition here: whoever reads these frames reads the references. They say what the game does
with features of a given quality, where no weights of such a network can be had, and no recipe, run
or preset reads them.

Axes: T frames, D dims, R latent dims, P phones of an utterance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

import numpy as np

from unsup_asr.ranges import Fraction, NonNegative, Positive, PositiveInt, Seed
from unsup_asr.types import Float32Array, Float64Array, Int32Array, Transcript

FRAME_S = 0.020  # of wav2vec 2.0

_CLASSES = ("ptkbdɡɾʔ", "fvθðszʃʒhxç", "mnŋɲ", "lɹrɫjw", "")  # the last: vowels and the rest


@dataclass(frozen=True, kw_only=True)
class SurrogateFeatures:
    """A phone's mean moves smoothly to its neighbour's; offsets and noise are added to it.

    Sizes are standard deviations where that of the phones' means is 1. The latent space is turned
    into `dim` dims by a fixed orthonormal map. The same seed gives the same frames, whatever else
    is drawn.
    """

    dim: PositiveInt = 1024
    latent_dim: PositiveInt = 32
    likeness: Fraction = 0.5  # share of a mean's variance that phones of a class have in common
    edge_s: Positive = 0.012  # of the logistic step from one phone to the next
    carry: NonNegative = 0.2  # of the neighbours' means, through the whole phone
    drift: NonNegative = 0.4  # from a phone's begin to its end
    speaker: NonNegative = 0.2
    channel: NonNegative = 0.1  # of each utterance
    noise: NonNegative = 0.62
    noise_memory: Fraction = 0.8  # correlation of one frame's noise with the next one's
    # Beside the latent dims, of what has nothing to do with phones: a probe can leave it out,
    # k-means cannot.
    nuisance_dim: PositiveInt = 8
    nuisance: NonNegative = 1.8
    seed: Seed = 0

    def __post_init__(self) -> None:
        if self.latent_dim + self.nuisance_dim > self.dim:
            raise ValueError(
                f"latent_dim {self.latent_dim} and nuisance_dim {self.nuisance_dim} are together "
                f"above dim {self.dim}; expected at most that"
            )

    def frames(self, transcript: Transcript, *, speaker: str) -> tuple[Float32Array, Int32Array]:
        """Frames (T, D) from the first phone's start to the last one's end; which phone each is in.

        The second, (T,), counts the utterance's phones from 0. ValueError without times.
        """
        if not transcript.starts_s:
            raise ValueError(
                f"transcript {transcript.utterance_id!r} has no times; expected aligned phones, "
                "as of a synthetic corpus"
            )
        starts_P = np.array(transcript.starts_s)
        edges_P = np.append(starts_P, transcript.ends_s[-1])
        times_T = np.arange(edges_P[0] + FRAME_S / 2, edges_P[-1], FRAME_S)
        phone_T = (np.searchsorted(starts_P, times_T, side="right") - 1).astype(np.int32)
        latent_TR = self._spoken(transcript.phones, edges_P, times_T)
        latent_TR += self.speaker * self._draw(f"speaker {speaker}")
        latent_TR += self.channel * self._draw(f"channel {transcript.utterance_id}")
        shape = (len(times_T), self.latent_dim)
        latent_TR += self.noise * self._noise(f"noise {transcript.utterance_id}", shape)
        shape = (len(times_T), self.nuisance_dim)
        other_TR = self.nuisance * self._noise(f"nuisance {transcript.utterance_id}", shape)
        all_TR = np.hstack([latent_TR, other_TR])
        return (all_TR @ self._map_RD).astype(np.float32), phone_T

    def _spoken(
        self, phones: Sequence[str], edges_P: Float64Array, times_T: Float64Array
    ) -> Float64Array:
        """Means of the phones (T, R), moving from one to the next."""
        own_PR = np.stack([self._mean(phone) for phone in phones])
        before_PR, after_PR = np.roll(own_PR, 1, 0), np.roll(own_PR, -1, 0)
        before_PR[0] = after_PR[-1] = 0
        mean_PR = own_PR + self.carry * (before_PR + after_PR)
        drift_PR = self.drift * np.stack([self._draw(f"drift {phone}") for phone in phones])
        steps = (times_T[:, None] - edges_P[None, 1:-1]) / self.edge_s
        passed = 0.5 * (1 + np.tanh(steps / 2))
        ones, zeros = np.ones((len(times_T), 1)), np.zeros((len(times_T), 1))
        weight_TP = np.hstack([ones, passed]) - np.hstack([passed, zeros])
        place_TP = (times_T[:, None] - edges_P[:-1]) / np.diff(edges_P).clip(FRAME_S) - 0.5
        return weight_TP @ mean_PR + (weight_TP * place_TP.clip(-0.5, 0.5)) @ drift_PR

    def _mean(self, phone: str) -> Float64Array:
        kind = next(i for i, c in enumerate(_CLASSES) if not c or phone[:1] in c)
        common, own = self._draw(f"class {kind}"), self._draw(f"phone {phone}")
        return np.sqrt(self.likeness) * common + np.sqrt(1 - self.likeness) * own

    def _noise(self, name: str, shape: tuple[int, int]) -> Float64Array:
        """First-order autoregressive noise of variance 1, of shape (T, R)."""
        noise_TR = self._generator(name).standard_normal(shape)
        fresh = np.sqrt(1 - self.noise_memory**2)
        for t in range(1, len(noise_TR)):
            noise_TR[t] = self.noise_memory * noise_TR[t - 1] + fresh * noise_TR[t]
        return noise_TR

    @cached_property
    def _map_RD(self) -> Float64Array:
        """Orthonormal rows, (latent_dim + nuisance_dim, D)."""
        size = (self.dim, self.latent_dim + self.nuisance_dim)
        return np.linalg.qr(self._generator("map").standard_normal(size))[0].T

    def _draw(self, name: str) -> Float64Array:
        return self._generator(name).standard_normal(self.latent_dim)

    def _generator(self, name: str) -> np.random.Generator:
        digest = sha256(f"{self.seed} {name}".encode()).digest()
        return np.random.default_rng(int.from_bytes(digest[:8], "little"))
