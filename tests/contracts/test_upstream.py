"""The contract suite fails the upstreams that it is there to fail."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.contracts.upstream import UpstreamContract
from unsup_asr.protocols import UpstreamOutput


@dataclass
class Sound:
    """Keeps the contract: two layers of random filters."""

    sample_rate: int = 16000
    frame_shift_samples: int = 320
    first_centre_s: float = 200 / 16000
    num_layers: int = 2
    dim: int = 8
    _filters_DN: Tensor = field(
        init=False,
        default_factory=lambda: torch.randn(8, 400, generator=torch.Generator().manual_seed(0)),
    )

    def encode(self, waves_BN: Tensor, lengths_B: Tensor) -> UpstreamOutput:
        if lengths_B.min() < 400:
            raise ValueError(f"a wave of {lengths_B.min()} samples is shorter than 400")
        with torch.no_grad():
            first_BTD = (waves_BN.unfold(1, 400, 320) @ self._filters_DN.T).tanh()
        return UpstreamOutput([first_BTD, first_BTD + 1], (lengths_B - 400) // 320 + 1)

    def fingerprint(self) -> str:
        return "sound-upstream"


class TestSound(UpstreamContract):
    def make(self) -> Sound:
        return Sound()


class Leaky(Sound):
    """Its mean over time includes padding."""

    def encode(self, waves_BN: Tensor, lengths_B: Tensor) -> UpstreamOutput:
        output = super().encode(waves_BN, lengths_B)
        layers = [x - x.mean(1, keepdim=True) for x in output.layers_BTD]
        return UpstreamOutput(layers, output.lengths_B)


class Dropping(Sound):
    """Left in training mode."""

    def encode(self, waves_BN: Tensor, lengths_B: Tensor) -> UpstreamOutput:
        output = super().encode(waves_BN, lengths_B)
        layers = [torch.nn.functional.dropout(x, 0.1) for x in output.layers_BTD]
        return UpstreamOutput(layers, output.lengths_B)


@dataclass
class Drawn(Sound):
    """Weights were not loaded."""

    def __post_init__(self) -> None:
        self._filters_DN = torch.randn(8, 400)


class InPlace(Sound):
    """Normalises the caller's waveforms."""

    def encode(self, waves_BN: Tensor, lengths_B: Tensor) -> UpstreamOutput:
        waves_BN -= waves_BN.mean()
        return super().encode(waves_BN, lengths_B)


class Trained(Sound):
    """Its states carry a graph."""

    def encode(self, waves_BN: Tensor, lengths_B: Tensor) -> UpstreamOutput:
        output = super().encode(waves_BN, lengths_B)
        scale = torch.ones(1, requires_grad=True)
        return UpstreamOutput([x * scale for x in output.layers_BTD], output.lengths_B)


class Inference(Sound):
    """Nothing that is trained can stand on its states."""

    def encode(self, waves_BN: Tensor, lengths_B: Tensor) -> UpstreamOutput:
        with torch.inference_mode():
            return super().encode(waves_BN, lengths_B)


class Padded(Sound):
    """Takes waves that have no frame."""

    def encode(self, waves_BN: Tensor, lengths_B: Tensor) -> UpstreamOutput:
        missing = max(0, 400 - waves_BN.shape[1])
        waves_BN = torch.nn.functional.pad(waves_BN, (0, missing))
        return super().encode(waves_BN, lengths_B + missing)


@dataclass
class Remembering(Sound):
    """Keeps the lengths of a call where the next one finds them."""

    _lengths_B: Tensor | None = None

    def encode(self, waves_BN: Tensor, lengths_B: Tensor) -> UpstreamOutput:
        self._lengths_B = lengths_B
        time.sleep(0.001)
        width = int(self._lengths_B.max())
        missing = max(0, width - waves_BN.shape[1])
        waves_BN = torch.nn.functional.pad(waves_BN[:, :width], (0, missing))
        return super().encode(waves_BN, lengths_B)


class Changing(Sound):
    """A fingerprint of the object, not of the weights."""

    def fingerprint(self) -> str:
        return f"upstream at {id(self)}"


@pytest.mark.parametrize(
    ("make", "failed"),
    [
        (Leaky, "test_a_padded_batch_equals_its_waves_one_by_one"),
        (Dropping, "test_the_same_audio_gives_the_same_states"),
        (Dropping, "test_it_draws_no_random_numbers"),
        (Drawn, "test_a_new_upstream_gives_the_same_states"),
        (Remembering, "test_threads_may_encode_at_once"),
        (InPlace, "test_it_leaves_its_input_alone_and_keeps_no_graph"),
        (Trained, "test_it_leaves_its_input_alone_and_keeps_no_graph"),
        (Inference, "test_it_leaves_its_input_alone_and_keeps_no_graph"),
        (lambda: Sound(dim=7), "test_every_layer_has_the_shape_that_was_announced"),
        (lambda: Sound(num_layers=3), "test_every_layer_has_the_shape_that_was_announced"),
        (lambda: Sound(frame_shift_samples=160), "test_frames_cover_the_audio"),
        (lambda: Sound(frame_shift_samples=160), "test_a_click_is_seen_where_it_is"),
        (lambda: Sound(first_centre_s=0.3), "test_a_click_is_seen_where_it_is"),
        (lambda: Sound(sample_rate=0), "test_it_has_all_that_the_contract_names"),
        (Path, "test_it_has_all_that_the_contract_names"),
        (Padded, "test_a_wave_shorter_than_a_frame_is_refused"),
        (Changing, "test_the_fingerprint_is_that_of_the_weights_and_options"),
    ],
)
def test_a_broken_upstream_is_found(make: Callable[[], object], failed: str) -> None:
    class Suite(UpstreamContract):
        def make(self):
            return make()

    suite = Suite()
    run = getattr(suite, failed)
    takes_upstream = "upstream" in run.__code__.co_varnames[: run.__code__.co_argcount]
    # RuntimeError: torch's own, of inference tensors; Failed: pytest.raises saw nothing
    with pytest.raises((AssertionError, RuntimeError, pytest.fail.Exception)):
        run(suite.make()) if takes_upstream else run()
