"""Adversarial training of one generator: options, checkpoints, validation, choice of checkpoint.

Everything random follows from `seed` and the update number, so a run killed at any moment and
started again ends with the same numbers.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from gan.batches import UnpairedData
from gan.discriminator import Discriminator, DiscriminatorShape
from gan.generator import Generator, GeneratorShape
from gan.infer import TrainedGenerator, join_repeats, transcribe_all
from gan.population import GameOptions, Member, Rules, train_discriminators, train_generators
from unsup_asr.ragged import RaggedArray
from unsup_asr.types import Float32Array, Int32Array

log = logging.getLogger(__name__)

Validate = Callable[[list[Int32Array]], dict[str, float]]

DISCRIMINATOR_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True)
class AdversarialTrainer:
    """Options of the game; the defaults are wav2vec-U 1.0 (Baevski et al. 2021; fairseq w2vu.yaml).

    An update trains either the discriminator or the generator: of every `discriminator_steps` + 1
    updates the last is the generator's. `warm_up_updates` first updates are all the
    discriminator's: it must know good from bad before a generator that starts well is moved.
    """

    updates: int = 150_000
    batch_size: int = 160
    discriminator_steps: int = 1
    warm_up_updates: int = 0
    generator_kernel: int = 4
    generator_dropout: float = 0.1
    generator_init_scale: float = 1.0  # of random first weights; a started generator ignores it
    discriminator_hidden: int = 384
    discriminator_kernel: int = 6
    discriminator_dtype: str = "float32"  # or bfloat16
    generator_learning_rate: float = 4e-4
    discriminator_learning_rate: float = 5e-4
    discriminator_weight_decay: float = 1e-4
    beta1: float = 0.5
    beta2: float = 0.98
    clip_norm: float = 5.0
    gradient_penalty: float = 1.5
    hard_samples: bool = False  # the discriminator reads drawn phones, not posteriors (Gumbel)
    joint_gradient_penalty: bool = False  # one norm a sequence instead of one a phone channel
    diversity: float = 4.0  # fairseq: code_penalty
    smoothness: float = 0.5
    anchor: float = 0.0  # KL to the map the generator started from
    join_text: bool = False  # JOIN leaves no repeats in the output; drop them from the text too
    validate_every: int = 1000
    criterion: str = "weighted_lm_perplexity"  # the entry of `validate`'s answer to minimise
    seed: int = 0

    def __post_init__(self) -> None:
        if self.discriminator_dtype not in DISCRIMINATOR_DTYPES:
            raise ValueError(
                f"discriminator_dtype is {self.discriminator_dtype!r}; expected one of "
                f"{sorted(DISCRIMINATOR_DTYPES)}"
            )
        for name in ("updates", "batch_size", "validate_every", "discriminator_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least 1")

    def train(
        self,
        segments: RaggedArray,
        text: Sequence[Int32Array],
        *,
        num_phones: int,
        validate: Validate,
        checkpoint_dir: Path,
        validation_segments: RaggedArray | None = None,
        generator_init: Float32Array | None = None,
        device: str = "cpu",
        progress: Callable[[], None] = lambda: None,
    ) -> TrainedGenerator:
        """Play all updates; return the generator of the best validation, the start included.

        `segments` are (num_segments, dim) a training utterance, `text` phone ids of other
        sentences. `generator_init` (dim, phones) is the linear map to start from; without it
        the start is random. `validate` sees the transcripts of `validation_segments` (training
        segments if None) and answers named numbers, `criterion` among them; it must not use
        references. Training resumes from `checkpoint_dir` if that holds a run with the same
        options and data. `progress` is called once an update, resumed ones included.
        """
        data = UnpairedData.check(segments, text, num_phones=num_phones)
        if self.join_text:
            joined = [join_repeats(sentence) for sentence in text]
            data = UnpairedData.check(segments, joined, num_phones=num_phones)
        game = _Game(self, data, generator_init, device)
        checkpoint = _Checkpoint(checkpoint_dir, _fingerprint(self, data, generator_init))
        first = checkpoint.restore(game)
        held_out = segments if validation_segments is None else validation_segments
        for _ in range(first):
            progress()
        if not game.history:
            self._validate(game, 0, held_out, validate)
        for update in range(first, self.updates):
            self._play(game, update)
            progress()
            if (update + 1) % self.validate_every == 0 or update + 1 == self.updates:
                self._validate(game, update + 1, held_out, validate)
                checkpoint.write(game, update + 1)
        chosen = deepcopy(game.member.generator)
        chosen.load_state_dict(game.best)
        best = min(game.history, key=lambda row: row[self.criterion])
        log.info("chose update %d: %s %.3f", best["update"], self.criterion, best[self.criterion])
        return TrainedGenerator(chosen.eval(), game.history, int(best["update"]))

    def _play(self, game: _Game, update: int) -> None:
        batch = game.data.draw(
            update, seeds=[self.seed], batch_size=self.batch_size, device=game.device
        )
        if self.plays_generator(update):
            terms = train_generators([game.member], batch, game.rules)
        else:
            terms = train_discriminators([game.member], batch, game.rules)
        game.latest.update({name: term[0] for name, term in terms.items()})

    def plays_generator(self, update: int) -> bool:
        """Whose turn update number `update` (from 0) is."""
        played = update - self.warm_up_updates
        return played >= 0 and played % (self.discriminator_steps + 1) == self.discriminator_steps

    def _validate(
        self, game: _Game, update: int, segments: RaggedArray, validate: Validate
    ) -> None:
        numbers = validate(transcribe_all(game.member.generator, segments))
        if self.criterion not in numbers:
            raise ValueError(
                f"validation answered {sorted(numbers)}; expected {self.criterion!r} among them, "
                "the number that training minimises"
            )
        row = {"update": float(update), **numbers}
        row.update({name: float(value) for name, value in game.latest.items()})
        game.history.append(row)
        if row[self.criterion] <= min(entry[self.criterion] for entry in game.history):
            game.best = deepcopy(game.member.generator.state_dict())
        log.info("update %d: %s %.3f", update, self.criterion, row[self.criterion])


class _Game:
    """Everything that changes while one member plays."""

    def __init__(
        self,
        options: AdversarialTrainer,
        data: UnpairedData,
        generator_init: Float32Array | None,
        device: str,
    ) -> None:
        self.data = data
        self.device = device
        self.history: list[dict[str, float]] = []
        self.latest: dict[str, Tensor] = {}
        generator, discriminator = new_players(
            options,
            input_dim=data.segments.values_array.shape[1],
            num_phones=data.num_phones,
            generator_init=generator_init,
        )
        self.member = Member(game_options(options), generator.to(device), discriminator.to(device))
        if generator_init is not None and options.anchor > 0:
            self.member.start = deepcopy(self.member.generator).requires_grad_(False)
        self.best = deepcopy(self.member.generator.state_dict())
        self.rules = Rules(
            dropout=options.generator_dropout,
            joint_penalty=options.joint_gradient_penalty,
            hard_samples=options.hard_samples,
            discriminator_dtype=DISCRIMINATOR_DTYPES[options.discriminator_dtype],
        )


def new_players(
    options: AdversarialTrainer,
    *,
    input_dim: int,
    num_phones: int,
    generator_init: Float32Array | None = None,
) -> tuple[Generator, Discriminator]:
    """A generator and a discriminator with the first weights that the options' seed gives."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        generator = Generator(
            GeneratorShape(
                input_dim=input_dim, num_phones=num_phones, kernel=options.generator_kernel
            )
        )
        discriminator = Discriminator(
            DiscriminatorShape(
                num_phones=num_phones,
                hidden=options.discriminator_hidden,
                kernel=options.discriminator_kernel,
            )
        )
    if generator_init is None:
        with torch.no_grad():
            generator.conv.weight.mul_(options.generator_init_scale)
    else:
        generator.start_from_map(generator_init)
    return generator, discriminator


def game_options(options: AdversarialTrainer) -> GameOptions:
    """The part of the options that one member plays by."""
    return GameOptions(
        seed=options.seed,
        generator_learning_rate=options.generator_learning_rate,
        discriminator_learning_rate=options.discriminator_learning_rate,
        discriminator_weight_decay=options.discriminator_weight_decay,
        beta1=options.beta1,
        beta2=options.beta2,
        clip_norm=options.clip_norm,
        gradient_penalty=options.gradient_penalty,
        diversity=options.diversity,
        smoothness=options.smoothness,
        anchor=options.anchor,
    )


class _Checkpoint:
    """The latest state of a run: tensors in safetensors, the rest in JSON, replaced together."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, game: _Game, update: int) -> None:
        """The description names its tensor file, so that the two cannot be mixed by a kill."""
        tensors_name = f"state_{update}.safetensors"
        _atomically(self._folder / tensors_name, lambda path: save_file(_tensors(game), path))
        description = {
            "fingerprint": self._fingerprint,
            "update": update,
            "tensors": tensors_name,
            "history": game.history,
            "latest": {name: float(value) for name, value in game.latest.items()},
        }
        text = json.dumps(description, indent=1)
        _atomically(self._folder / "state.json", lambda path: path.write_text(text, "utf-8"))
        for old in self._folder.glob("state_*.safetensors"):
            if old.name != tensors_name:
                old.unlink()

    def restore(self, game: _Game) -> int:
        """Put the saved state into `game`; the number of updates already played."""
        path = self._folder / "state.json"
        if not path.is_file():
            return 0
        description = json.loads(path.read_text("utf-8"))
        if description["fingerprint"] != self._fingerprint:
            raise ValueError(
                f"{path}: this is a run with other options or data; delete {self._folder} to start "
                "afresh, or give another checkpoint_dir"
            )
        try:
            tensors = load_file(self._folder / description["tensors"])
        except (OSError, SafetensorError) as error:
            raise ValueError(
                f"{self._folder / description['tensors']}: cannot be read ({error}); delete "
                f"{self._folder} to start the training afresh"
            ) from error
        _restore_tensors(game, tensors)
        game.history = description["history"]
        game.latest = {k: torch.tensor(v) for k, v in description["latest"].items()}
        log.info("resumed at update %d", description["update"])
        return int(description["update"])


def _tensors(game: _Game) -> dict[str, Tensor]:
    member = game.member
    out = {f"generator/{k}": v for k, v in member.generator.state_dict().items()}
    out.update({f"discriminator/{k}": v for k, v in member.discriminator.state_dict().items()})
    out.update({f"best/{k}": v for k, v in game.best.items()})
    for name, optimizer in _optimizers(member).items():
        for index, state in optimizer.state_dict()["state"].items():
            out.update({f"{name}/{index}/{k}": v for k, v in state.items()})
    return {name: tensor.detach().contiguous().clone() for name, tensor in out.items()}


def _restore_tensors(game: _Game, tensors: dict[str, Tensor]) -> None:
    member = game.member
    member.generator.load_state_dict(_under("generator", tensors))
    member.discriminator.load_state_dict(_under("discriminator", tensors))
    game.best = _under("best", tensors)
    for name, optimizer in _optimizers(member).items():
        states: dict[int, dict[str, Tensor]] = {}
        for key, tensor in _under(name, tensors).items():
            index, field = key.split("/")
            states.setdefault(int(index), {})[field] = tensor
        optimizer.load_state_dict({**optimizer.state_dict(), "state": states})


def _optimizers(member: Member) -> dict[str, torch.optim.Optimizer]:
    return {
        "generator_optimizer": member.generator_optimizer,
        "discriminator_optimizer": member.discriminator_optimizer,
    }


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    start = prefix + "/"
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}


def _fingerprint(
    options: AdversarialTrainer, data: UnpairedData, generator_init: Float32Array | None
) -> str:
    """Digest of what decides the numbers; of the segments, only sizes and the first rows."""
    digest = sha256(json.dumps(asdict(options), sort_keys=True).encode())
    digest.update(np.ascontiguousarray(data.segments.offsets).tobytes())
    digest.update(np.ascontiguousarray(data.segments.values_array[:64]).tobytes())
    digest.update(data.text_values.tobytes())
    if generator_init is not None:
        digest.update(np.ascontiguousarray(generator_init).tobytes())
    return digest.hexdigest()


def _atomically(path: Path, write: Callable[[Path], object]) -> None:
    temporary = path.with_name(path.name + ".partial")
    write(temporary)
    temporary.replace(path)
