"""The state of a training at an epoch's end, in one file: weights, Adam's moments, generators."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from unsup_asr.formats.checked import reading
from unsup_asr.formats.weights import read_described_tensors, tensors_under
from unsup_asr.formats.whole import whole

log = logging.getLogger(__name__)


@dataclass
class TrainingState:
    """Everything that changes while a network is trained."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    rng: np.random.Generator
    generator: torch.Generator  # on the device
    curve: list[float] = field(default_factory=list)  # mean loss of each epoch so far
    num_updates: int = 0  # where they are counted


@dataclass(frozen=True)
class Checkpoint:
    """One file, one training: the state of another one is refused."""

    path: Path
    fingerprint: str  # of options and data

    def write(self, state: TrainingState) -> None:
        """Replace the file, whole or not at all."""
        tensors = {f"network/{k}": v for k, v in state.network.state_dict().items()}
        for number, moments in state.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{number}/{k}": v for k, v in moments.items()}
        tensors["generator"] = state.generator.get_state()
        description = {
            "fingerprint": self.fingerprint,
            "curve": state.curve,
            "num_updates": state.num_updates,
            "rng": state.rng.bit_generator.state,
            "device": state.generator.device.type,
        }
        tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
        with whole(self.path) as scratch:
            save_file(tensors, scratch, {"description": json.dumps(description)})

    def restore(self, state: TrainingState) -> None:
        """Put what the file holds into a state that was begun in the same way; or leave it as it
        is where there is no file. ValueError for one of another training, or a damaged one.
        """
        if not self.path.is_file():
            return
        needed = ("fingerprint", "curve", "num_updates", "rng", "device")
        tensors, description = read_described_tensors(self.path, *needed)
        if description["fingerprint"] != self.fingerprint:
            raise ValueError(
                f"{self.path} is of a training with other options or data; delete it to begin "
                "anew, or name another file"
            )
        with reading(self.path, "the state of this training: delete it to begin anew"):
            self._restore(state, tensors, description)
        log.info("goes on after epoch %d", len(state.curve))

    def _restore(
        self, state: TrainingState, tensors: dict[str, Tensor], description: dict[str, Any]
    ) -> None:
        state.network.load_state_dict(tensors_under("network", tensors))
        moments: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors_under("optimizer", tensors).items():
            number, name = key.split("/")
            moments.setdefault(int(number), {})[name] = tensor
        for number, parameter in enumerate(state.optimizer.param_groups[0]["params"]):
            kept = {"step": (), "exp_avg": parameter.shape, "exp_avg_sq": parameter.shape}
            if {name: tuple(t.shape) for name, t in moments.get(number, {}).items()} != kept:
                raise ValueError(f"it has not what Adam keeps of parameter {number}")
        state.optimizer.load_state_dict({**state.optimizer.state_dict(), "state": moments})
        state.curve[:] = map(float, description["curve"])
        state.num_updates = int(description["num_updates"])
        state.rng.bit_generator.state = description["rng"]
        if description["device"] == state.generator.device.type:
            state.generator.set_state(tensors["generator"])
        else:
            state.generator.manual_seed(state.generator.initial_seed() + len(state.curve))
            log.warning(
                "%s was begun on another kind of device, whose random numbers this one cannot go "
                "on with: it draws others, and ends as another seed would. Delete it to begin anew "
                "on this device",
                self.path,
            )
