"""A learned boundary detector: encodings of neighbouring frames are alike, except at boundaries.

Kreuk, Keshet and Adi 2020, "Self-supervised contrastive learning for unsupervised phoneme
segmentation": an encoder is trained to tell the next frame from random frames of the same
utterance; where it finds the next frame unlike this one, a phone ends. Ours reads normalised
log-mel frames instead of samples, each frame by itself, and trains in half a minute on one core.
Axes: B batch, T frames, D dims, N negatives, Z encoding dims, E = T + 1 edges.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from segmentation.change_peaks import PeakPicking, fit_utterances
from segmentation.checks import check_rows
from segmentation.saved import read_arrays, write_arrays
from unsup_asr.protocols import UtteranceFrames
from unsup_asr.ranges import Positive, PositiveInt, Seed
from unsup_asr.types import Float32Array, FrameTiming, Int32Array

logger = logging.getLogger(__name__)

_MIN_NEGATIVE_DISTANCE = 10  # frames: nearer ones may lie in the same phone


@dataclass
class ContrastivePeaks(PeakPicking):
    """Peaks of the cosine distance between the encodings of the frames beside each edge."""

    hidden_dim: PositiveInt = 128
    encoding_dim: PositiveInt = 64
    temperature: Positive = 1.0
    num_negatives: PositiveInt = 10
    num_updates: PositiveInt = 500
    batch_size: PositiveInt = 16
    crop_frames: PositiveInt = 256
    learning_rate: Positive = 1e-3
    seed: Seed = 0
    device: str = "cpu"
    encoder: nn.Sequential | None = field(init=False, repr=False, default=None)
    threshold: float | None = field(init=False, repr=False, default=None)
    losses: list[float] = field(init=False, repr=False, default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.crop_frames < 4 * _MIN_NEGATIVE_DISTANCE:
            raise ValueError(
                f"contrastive: crop_frames is {self.crop_frames}; expected at least "
                f"{4 * _MIN_NEGATIVE_DISTANCE}, so that negatives lie outside the phone"
            )

    def fit(self, features: UtteranceFrames, timing: FrameTiming) -> None:
        """Train the encoder, then set the threshold from the expected rate of segments."""
        utterances = fit_utterances(features)
        generator = np.random.default_rng(self.seed)
        encoder = self._new_encoder(utterances[0].shape[1]).to(self.device)
        optimizer = torch.optim.Adam(encoder.parameters(), lr=self.learning_rate)
        scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, self.num_updates)
        self.losses = []
        for update in range(self.num_updates):
            batch_BTD = self._crops(utterances, generator)
            loss = next_frame_loss(
                encode(encoder, batch_BTD.to(self.device)),
                num_negatives=self.num_negatives,
                temperature=self.temperature,
                generator=generator,
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            if update % 50 == 0 or update == self.num_updates - 1:
                self.losses.append(loss.item())
                logger.debug("contrastive: update %d, loss %.3f", update, self.losses[-1])
        if not np.isfinite(self.losses[-1]):
            raise ValueError(
                f"contrastive: the loss became {self.losses[-1]}; lower learning_rate "
                f"({self.learning_rate})"
            )
        self.encoder = encoder.eval()
        self.threshold = self.threshold_of(features, timing, self.curve)

    def curve(self, features_TD: Float32Array) -> Float32Array:
        """1 - cosine similarity across each edge, (E,); 0 to 2, ends 0."""
        encoder = self._fitted()
        check_rows(features_TD, what="contrastive peaks", dim=_linear(encoder, 0).in_features)
        with torch.no_grad():
            encoded_TZ = encode(encoder, torch.tensor(features_TD[None], device=self.device))[0]
            similarity = (encoded_TZ[:-1] * encoded_TZ[1:]).sum(dim=-1).cpu().numpy()
        return np.pad(np.maximum(1 - similarity, 0), 1).astype(np.float32)

    def boundaries(self, features_TD: Float32Array) -> Int32Array:
        """Strictly increasing frame indices from 0 to T."""
        self._fitted()
        assert self.threshold is not None
        return self.pick(self.curve(features_TD), self.threshold)

    def save(self, folder: Path) -> None:
        """Write weights and threshold."""
        weights = {k: v.cpu().numpy() for k, v in self._fitted().state_dict().items()}
        write_arrays(folder, "contrastive", weights | {"threshold": np.array(self.threshold)})

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote; ValueError when its layers have other sizes."""
        arrays = read_arrays(folder, "contrastive", ("threshold", "0.weight"))
        self.threshold = float(arrays.pop("threshold"))
        encoder = self._new_encoder(arrays["0.weight"].shape[1])
        try:
            encoder.load_state_dict({k: torch.from_numpy(v) for k, v in arrays.items()})
        except RuntimeError as error:
            raise ValueError(
                f"{folder}: the saved encoder does not fit hidden_dim {self.hidden_dim}, "
                f"encoding_dim {self.encoding_dim}. Use the options it was trained with"
            ) from error
        self.encoder = encoder.to(self.device).eval()

    def _new_encoder(self, dim: int) -> nn.Sequential:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return nn.Sequential(
                nn.Linear(dim, self.hidden_dim),
                nn.BatchNorm1d(self.hidden_dim),
                nn.LeakyReLU(),
                nn.Linear(self.hidden_dim, self.hidden_dim),
                nn.BatchNorm1d(self.hidden_dim),
                nn.LeakyReLU(),
                nn.Linear(self.hidden_dim, self.encoding_dim),
            )

    def _crops(self, utterances: list[Float32Array], generator: np.random.Generator) -> Tensor:
        """Random stretches of random utterances, (B, T, D); short utterances are repeated."""
        crops = []
        for i in generator.integers(len(utterances), size=self.batch_size):
            frames_TD = utterances[i]
            start = generator.integers(max(1, len(frames_TD) - self.crop_frames + 1))
            crop_TD = frames_TD[start : start + self.crop_frames]
            crops.append(np.resize(crop_TD, (self.crop_frames, frames_TD.shape[1])))
        return torch.from_numpy(np.stack(crops))

    def _fitted(self) -> nn.Sequential:
        if self.encoder is None:
            raise ValueError("ContrastivePeaks is not fitted yet: call fit or load first")
        return self.encoder


def encode(encoder: nn.Module, features_BTD: Tensor) -> Tensor:
    """Encodings of unit length, (B, T, Z)."""
    encoded = encoder(features_BTD.flatten(0, 1))
    return functional.normalize(encoded, dim=-1).unflatten(0, features_BTD.shape[:2])


def next_frame_loss(
    encoded_BTZ: Tensor, *, num_negatives: int, temperature: float, generator: np.random.Generator
) -> Tensor:
    """Cross-entropy of the next frame among itself and frames elsewhere in the utterance.

    Scalar, >= 0 (Kreuk et al. 2020, equation 2). Each negative is a rotation of the whole batch in
    time by a random number of frames: as random, and no gather.
    """
    here_BTZ, next_BTZ = encoded_BTZ[:, :-1], encoded_BTZ[:, 1:]
    similarities = [(here_BTZ * next_BTZ).sum(dim=-1)]
    low, high = _MIN_NEGATIVE_DISTANCE, encoded_BTZ.shape[1] - _MIN_NEGATIVE_DISTANCE
    for shift in generator.integers(low, high, size=num_negatives):
        similarities.append((here_BTZ * next_BTZ.roll(int(shift), dims=1)).sum(dim=-1))
    logits_NBT = torch.stack(similarities) / temperature
    return -functional.log_softmax(logits_NBT, dim=0)[0].mean()


def _linear(encoder: nn.Sequential, position: int) -> nn.Linear:
    layer = encoder[position]
    assert isinstance(layer, nn.Linear)
    return layer
