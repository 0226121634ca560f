"""The latest state of a training: tensors in safetensors, the rest in JSON, replaced together."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from gan.steps import Member
from unsup_asr.formats.checked import read_json
from unsup_asr.formats.weights import read_tensors, tensors_under

log = logging.getLogger(__name__)


@dataclass
class Progress:
    """Everything that changes while one member plays."""

    member: Member
    best: dict[str, Tensor]  # the generator of the best validation
    history: list[dict[str, float]] = field(default_factory=list)
    latest: dict[str, Tensor] = field(default_factory=dict)  # loss terms; read when validating
    stopped_at: int | None = None  # the update after which it was given up


class Checkpoint:
    """One folder, one training: another training's state is refused, a damaged one named."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, games: Sequence[Progress], update: int) -> None:
        """The description names its tensor file, so that the two cannot be mixed by a kill."""
        tensors_name = f"state_{update}.safetensors"
        tensors = {
            f"{number}/{name}": tensor
            for number, game in enumerate(games)
            for name, tensor in _tensors(game).items()
        }
        _atomically(self._folder / tensors_name, lambda path: save_file(tensors, path))
        description = {
            "fingerprint": self._fingerprint,
            "update": update,
            "tensors": tensors_name,
            "members": [
                {
                    "history": game.history,
                    "latest": {name: float(value) for name, value in game.latest.items()},
                    "stopped_at": game.stopped_at,
                }
                for game in games
            ],
        }
        text = json.dumps(description, indent=1)
        _atomically(self._folder / "state.json", lambda path: path.write_text(text, "utf-8"))
        for old in self._folder.glob("state_*.safetensors"):
            if old.name != tensors_name:
                old.unlink()

    def restore(self, games: Sequence[Progress]) -> int:
        """Put the saved state into `games`; the number of updates already played."""
        path = self._folder / "state.json"
        if not path.is_file():
            return 0
        needed = ("fingerprint", "update", "tensors", "members")
        description = read_json(path, *needed)
        if description["fingerprint"] != self._fingerprint:
            raise ValueError(
                f"{path}: this is a run with other options or data; delete {self._folder} to start "
                "afresh, or give another checkpoint_dir"
            )
        try:
            tensors = read_tensors(self._folder / str(description["tensors"]))
            for number, (game, saved) in enumerate(zip(games, description["members"], strict=True)):
                _restore_tensors(game, tensors_under(str(number), tensors))
                game.history = saved["history"]
                game.latest = {k: torch.tensor(v) for k, v in saved["latest"].items()}
                game.stopped_at = saved["stopped_at"]
        except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
            raise ValueError(
                f"{path}: its state cannot be restored ({error}); delete {self._folder} to start "
                "the training afresh"
            ) from error
        log.info("resumed at update %d", description["update"])
        return int(description["update"])


def _tensors(game: Progress) -> dict[str, Tensor]:
    member = game.member
    out = {f"generator/{k}": v for k, v in member.generator.state_dict().items()}
    out.update({f"discriminator/{k}": v for k, v in member.discriminator.state_dict().items()})
    out.update({f"best/{k}": v for k, v in game.best.items()})
    for name, optimizer in _optimizers(member).items():
        for index, state in optimizer.state_dict()["state"].items():
            out.update({f"{name}/{index}/{k}": v for k, v in state.items()})
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in out.items()}


def _restore_tensors(game: Progress, tensors: dict[str, Tensor]) -> None:
    member = game.member
    member.generator.load_state_dict(tensors_under("generator", tensors))
    member.discriminator.load_state_dict(tensors_under("discriminator", tensors))
    game.best = tensors_under("best", tensors)
    for name, optimizer in _optimizers(member).items():
        states: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors_under(name, tensors).items():
            index, field_name = key.split("/")
            states.setdefault(int(index), {})[field_name] = tensor
        optimizer.load_state_dict({**optimizer.state_dict(), "state": states})


def _optimizers(member: Member) -> dict[str, torch.optim.Optimizer]:
    return {
        "generator_optimizer": member.generator_optimizer,
        "discriminator_optimizer": member.discriminator_optimizer,
    }


def _atomically(path: Path, write: Callable[[Path], object]) -> None:
    temporary = path.with_name(path.name + ".partial")
    write(temporary)
    temporary.replace(path)
