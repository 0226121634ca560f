"""Acoustic models as stages and `transcribe` find them in a folder: of frozen features, or
fine-tuned, which hears waveforms and needs nothing beside itself.

A fine-tuned one stands in the place of an upstream too, its posteriors in that of features; what is
left for the network above is to hand them on.

Axes: B batch, N samples, T frames, V outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unsup_asr import compute
from unsup_asr.acoustic.network import AcousticNetwork, load_network, save_network
from unsup_asr.protocols import UpstreamOutput
from unsup_asr.recognise.letters import BOUNDARY
from unsup_asr.recognise.phones import BLANK
from unsup_asr.speech.timing import MIN_FRAMES
from unsup_asr.speech.waveforms import Waveforms
from unsup_asr.types import Float32Array, Int32Array, Seconds, Utterance
from unsup_asr.upstreams.checkpoint import fingerprint
from unsup_asr.upstreams.ctc_network import CTCNetwork, load_ctc_network
from unsup_asr.upstreams.normalise import SpeakerStatistics

FINETUNED = "finetuned"  # a folder of transformers' format
PUBLISHED = "published.safetensors"  # of somebody's generator (`gan.published`)
_FROZEN = ("network.json", "network.safetensors")


def save_model(
    network: AcousticNetwork | CTCNetwork, folder: Path, inventory: Sequence[str]
) -> None:
    """Write what `load_acoustic_model` reads."""
    if isinstance(network, AcousticNetwork):
        save_network(network, folder)
    else:
        network.save(folder / FINETUNED, [BLANK, *inventory])


def save_letter_model(network: CTCNetwork, folder: Path, letters: Sequence[str]) -> None:
    """As `save_model`, of a network whose outputs are letters and the boundary of words."""
    network.save(folder / FINETUNED, [BLANK, *letters], word_boundary=BOUNDARY)


def load_acoustic_model(folder: Path) -> AcousticNetwork | CTCNetwork:
    """The network in a folder, in evaluation mode; ValueError for a damaged one."""
    if (folder / FINETUNED).is_dir():
        return load_ctc_network(folder / FINETUNED)
    return load_network(folder)


def model_files(folder: Path) -> list[str]:
    """Names of the files that `load_acoustic_model` reads, from the folder on."""
    if (folder / FINETUNED).is_dir():
        found = sorted((folder / FINETUNED).iterdir())
        return [path.relative_to(folder).as_posix() for path in found]
    return [PUBLISHED] if (folder / PUBLISHED).is_file() else list(_FROZEN)


def audible(utterances: Sequence[Utterance], network: CTCNetwork) -> Waveforms:
    """Recordings that a fine-tuned network has 4 frames of, or more."""
    framing = network.framing
    shortest = framing.window + (MIN_FRAMES - 1) * framing.shift
    return Waveforms(utterances, sample_rate=network.sample_rate, min_samples=shortest)


@dataclass(frozen=True)
class EveryFrame(Mapping[str, Int32Array]):
    """Of waveforms, all frames: a fine-tuned network hears silence too."""

    waveforms: Waveforms
    network: CTCNetwork

    def __getitem__(self, key: str) -> Int32Array:
        return np.arange(self.network.num_frames(self.waveforms.lengths[key]), dtype=np.int32)

    def __iter__(self) -> Iterator[str]:
        return iter(self.waveforms)

    def __len__(self) -> int:
        return len(self.waveforms)


class FinetunedUpstream:
    """A fine-tuned network as an upstream of one layer, its log posteriors."""

    num_layers = 1

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._network = load_ctc_network(folder)
        self.sample_rate = self._network.sample_rate
        self.frame_shift_samples = self._network.framing.shift
        self.dim = self._network.model.config.vocab_size

    @property
    def first_centre_s(self) -> Seconds:
        """Time of the middle of the first frame's window, from the start of the audio."""
        return self._network.timing.first_centre_s

    def encode(self, waves_BN: Tensor, lengths_B: Tensor) -> UpstreamOutput:
        """Log posteriors of waveforms that may lie on the host; they come back there."""
        lengths = lengths_B.tolist()
        network = self._network.to(compute.device())
        with torch.no_grad():
            found_BTV = network(compute.moved(waves_BN), lengths).to(waves_BN.device)
        num_frames = torch.tensor([network.num_frames(length) for length in lengths])
        return UpstreamOutput([found_BTV], num_frames)

    def fingerprint(self) -> str:
        """Digest of the folder."""
        return fingerprint({"class": type(self).__name__}, sorted(self._folder.iterdir()))


class PosteriorsAsHeard:
    """The network above a `FinetunedUpstream`: what it is given is what it gives."""

    stack = 1

    def to(self, device: torch.device, /) -> PosteriorsAsHeard:
        """Anywhere."""
        return self

    def eval(self) -> PosteriorsAsHeard:
        """As it is."""
        return self

    def num_frames(self, num_samples: int) -> int:
        """One for each."""
        return num_samples

    def __call__(self, posteriors_BTV: Tensor, lengths: Sequence[int], /) -> Tensor:
        """The posteriors."""
        return posteriors_BTV


@dataclass(frozen=True)
class NoSilence:
    """Every frame stays."""

    def speech_frames(
        self, samples_N: Float32Array, *, frame_samples: int, shift_samples: int
    ) -> Int32Array:
        """All whole windows."""
        return np.arange((len(samples_N) - frame_samples) // shift_samples + 1, dtype=np.int32)


def neutral_statistics(dim: int) -> SpeakerStatistics:
    """Those that normalisation changes nothing by."""
    return SpeakerStatistics(np.zeros(dim), np.ones(dim))
