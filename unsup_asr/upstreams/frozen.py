"""What all pretrained upstreams share: a network that is read, run and never trained.

Weights are read at the first `encode`; before that an upstream has only looked at what describes
them, so asking for its layers or its fingerprint is cheap.
"""

# Axes: B batch, N samples, T frames, D dims.

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from unsup_asr.protocols import UpstreamOutput
from unsup_asr.types import Seconds
from unsup_asr.upstreams.checkpoint import fingerprint
from unsup_asr.upstreams.random_state import untouched_random_state
from unsup_asr.upstreams.wave_batch import Framing, check_waves, padding_mask

# Options that say where weights come from; what they are is in the files themselves.
_WHERE = ("checkpoint", "model", "model_config", "revision", "trust_checkpoint")

_LOADING = threading.Lock()  # several threads may be the first to encode

BLOCK, BEFORE_RESIDUAL = READINGS = ("block", "before_residual")
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(kw_only=True)
class FrozenUpstream:
    """An upstream around a network; computes on the device of the waveforms it is given.

    A subclass says how to load the network, what files that reads, and how to run it. States are
    zero after an utterance's last frame.
    """

    checkpoint: str | None = None
    sample_rate: int = field(init=False, default=16000)
    _network: nn.Module | None = field(init=False, repr=False, default=None)
    _device: torch.device | None = field(init=False, repr=False, default=None)
    _fingerprint: str | None = field(init=False, repr=False, default=None)
    _highest: int | None = field(init=False, repr=False, default=None)

    @property
    def frame_shift_samples(self) -> int:
        """Samples from one frame to the next."""
        return self._framing.shift

    @property
    def first_centre_s(self) -> Seconds:
        """Time of the middle of the first frame's window, as far as convolutions look."""
        return self._framing.first_centre / self.sample_rate

    def encode(self, waves_BN: Tensor, lengths_B: Tensor) -> UpstreamOutput:
        """All layers' states of padded waveforms, each as if it were alone."""
        waves_BN = check_waves(
            waves_BN, lengths_B, min_samples=self._framing.window, sample_rate=self.sample_rate
        )
        lengths_B = lengths_B.to(waves_BN.device)
        precision = self._precision
        mixed = torch.autocast(
            waves_BN.device.type, precision, enabled=precision is not torch.float32
        )
        # transformers before 5 draws numbers for its layer drop, though it drops none.
        with torch.inference_mode(), mixed, untouched_random_state():
            layers_BTD, frames_B = self._states(
                self._loaded_on(waves_BN.device), waves_BN, lengths_B
            )
        # Outside inference mode: these tensors may take part in training what comes after.
        is_padding_BT = padding_mask(frames_B, layers_BTD[0].shape[1])
        return UpstreamOutput(
            [x.to(precision).masked_fill(is_padding_BT[..., None], 0.0) for x in layers_BTD],
            frames_B.clone(),
        )

    def limit_layers(self, highest: int) -> None:
        """Run no more blocks than layer `highest` needs: `encode` gives 0 to `highest` from now on.

        Its states are the same, so the fingerprint knows nothing of it.
        """
        with _LOADING:
            self._highest, self._network, self._device = highest, None, None

    def fingerprint(self) -> str:
        """Digest of weights, options and the version of the library that runs them."""
        if self._fingerprint is None:
            options = {
                option.name: getattr(self, option.name)
                for option in fields(self)
                if option.name not in _WHERE and not option.name.startswith("_")
            }
            identity = {"class": type(self).__name__, **self._code(), "options": options}
            self._fingerprint = fingerprint(identity, self.weight_files())
        return self._fingerprint

    def weight_files(self) -> list[Path]:
        """Every file that decides what the network computes."""
        raise NotImplementedError

    @property
    def _framing(self) -> Framing:
        raise NotImplementedError

    @property
    def _precision(self) -> torch.dtype:
        return torch.float32

    def _code(self) -> dict[str, str]:
        """What is run, where the weights do not tell: library, version, architecture."""
        raise NotImplementedError

    def _load(self) -> nn.Module:
        """The network with its weights; ValueError if they are damaged or another network's."""
        raise NotImplementedError

    def _states(
        self, network: nn.Module, waves_BN: Tensor, lengths_B: Tensor
    ) -> tuple[Sequence[Tensor], Tensor]:
        """States (B, T, D) of each layer, and the frames of each waveform."""
        raise NotImplementedError

    def _loaded_on(self, device: torch.device) -> nn.Module:
        """The network, loaded and moved by the first thread that asks for it there.

        Moved no more often than that: in torch, moving a network unsettles its recurrent layers for
        other threads.
        """
        with _LOADING:
            if self._network is None:
                with untouched_random_state():  # networks are drawn before they are loaded
                    self._network = self._load().eval().requires_grad_(False)
            if self._device != device:
                self._network.to(device)
                self._device = device
            return self._network


@dataclass(kw_only=True)
class WaveTransformer(FrozenUpstream):
    """Convolutions over the waveform, then a transformer: wav2vec 2.0 and its kin.

    Layer k is what block k gives, after its residual connection; with `reading` before_residual,
    what its feed-forward layers add (the targets of data2vec; the last layer norm is not passed).
    Under `dtype` bfloat16 or float16 the network runs in mixed precision and its states come in
    that type.
    """

    normalize_waveform: bool | None = None  # None: as the checkpoint was trained
    reading: str = BLOCK
    dtype: str = "float32"
    num_layers: int = field(init=False)
    dim: int = field(init=False)
    _convolutions: Framing = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.dtype not in PRECISIONS:
            raise ValueError(f"dtype is {self.dtype!r}; expected one of {', '.join(PRECISIONS)}")
        if self.reading not in READINGS:
            raise ValueError(f"reading is {self.reading!r}; expected one of {', '.join(READINGS)}")

    @property
    def _framing(self) -> Framing:
        return self._convolutions

    @property
    def _precision(self) -> torch.dtype:
        return PRECISIONS[self.dtype]


@contextmanager
def added_by_blocks(blocks: Iterable[nn.Module], *, is_wanted: bool) -> Iterator[list[Tensor]]:
    """A list that gets, inside the `with`, what the feed-forward layers of each block give; it
    stays empty where that is not wanted.
    """
    added: list[Tensor] = []
    hooks = [
        block.get_submodule("feed_forward").register_forward_hook(partial(_keep, added))
        for block in (blocks if is_wanted else ())
    ]
    try:
        yield added
    finally:
        for hook in hooks:
            hook.remove()


def _keep(added: list[Tensor], _module: nn.Module, _inputs: object, output: Tensor) -> None:
    added.append(output)
