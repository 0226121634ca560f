"""Adversarial training: turns, validation, giving up, choice of checkpoint.

Everything random follows from `seed` and the update number, so a run killed at any moment and
started again ends with the same numbers, and a member's do not depend on who plays beside it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch

from gan.batches import UnpairedData
from gan.checkpoint import Checkpoint, Progress
from gan.generator import phones_only
from gan.infer import TrainedGenerator, transcribe_all
from gan.options import (
    MIN_SEGMENTS,
    OWN_OPTIONS,
    AdversarialOptions,
    new_member,
)
from gan.turns import Turns
from unsup_asr.formats.ragged import RaggedArray
from unsup_asr.progress import note
from unsup_asr.ranges import AtLeastOne, PositiveInt
from unsup_asr.speech.runs import merge_repeats
from unsup_asr.types import Float32Array, Int32Array

log = logging.getLogger(__name__)

Validate = Callable[[list[Int32Array]], dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class AdversarialTrainer(AdversarialOptions):
    """One game played alone."""


@dataclass(frozen=True, kw_only=True)
class GiveUp:
    """When a member is hopeless: worse than `ratio` times the best, after `updates` updates."""

    updates: PositiveInt
    ratio: AtLeastOne = 2.0


def play(
    members: Sequence[AdversarialOptions],
    segments: RaggedArray,
    text: Sequence[Int32Array],
    *,
    num_phones: int,
    validate: Validate,
    checkpoint_dir: Path,
    validation_segments: RaggedArray | None = None,
    generator_init: Float32Array | None = None,
    auxiliary_classes: RaggedArray | None = None,
    give_up: GiveUp | None = None,
    progress: Callable[[], None] = lambda: None,
) -> list[TrainedGenerator]:
    """Play all updates of all members at once; of each, the generator of its best validation.

    `segments` are (num_segments, dim) a training utterance, `text` phone ids of other sentences.
    `generator_init` (dim, phones) is the linear map to start from; without it the start is
    random; the start counts as a validation too. `validate` sees one member's transcripts of
    `validation_segments` (training segments if None) and answers named numbers, `criterion`
    among them; it must not use references. `auxiliary_classes` are (num_segments,) ids, -1 where
    none is known. Training resumes from `checkpoint_dir` if that holds a run with the same
    options and data. `progress` is called once an update, resumed ones included.
    """
    shared = _shared_options(members)
    if shared.join_text:
        text = [merge_repeats(sentence) for sentence in text]
    data = UnpairedData.check(
        segments,
        text,
        num_phones=num_phones,
        auxiliary_classes=auxiliary_classes,
    )
    if shared.padding == "reference":
        data = data.without_short(MIN_SEGMENTS)
    if shared.auxiliary > 0 and auxiliary_classes is None:
        raise ValueError("auxiliary is set without auxiliary_classes; give both or neither")
    games = [_start(options, data, generator_init) for options in members]
    checkpoint = Checkpoint(checkpoint_dir, _fingerprint(members, give_up, data, generator_init))
    first = checkpoint.restore(games)
    held_out = segments if validation_segments is None else validation_segments
    for _ in range(first):
        progress()
    if first == 0:
        _validate(games, 0, held_out, validate, shared, num_phones)
    turns = Turns.of(data, shared)
    update = first
    with ThreadPoolExecutor(max_workers=1) as pool:
        while update < shared.updates:
            stretch = range(update, _next_validation(update, shared))
            turns.play([game for game in games if game.stopped_at is None], stretch, pool, progress)
            update = stretch.stop
            _require_finite(games, update)
            _validate(games, update, held_out, validate, shared, num_phones)
            if give_up is not None and update >= give_up.updates:
                _stop_hopeless(games, update, give_up, shared.criterion)
            checkpoint.write(games, update)
    return [_chosen(game, shared.criterion, num_phones) for game in games]


def _shared_options(members: Sequence[AdversarialOptions]) -> AdversarialOptions:
    first = asdict(members[0])
    for number, member in enumerate(members):
        for name, value in asdict(member).items():
            if name not in OWN_OPTIONS and value != first[name]:
                raise ValueError(
                    f"{name} is {first[name]!r} for member 0 and {value!r} for member {number}; "
                    f"members of one population may differ in {', '.join(OWN_OPTIONS)}"
                )
    return members[0]


def _start(
    options: AdversarialOptions,
    data: UnpairedData,
    generator_init: Float32Array | None,
) -> Progress:
    member = new_member(
        options,
        input_dim=data.segments.values_array.shape[1] // options.frames_per_segment,
        num_phones=data.num_phones,
        generator_init=generator_init,
    )
    return Progress(member, deepcopy(member.generator.state_dict()))


def _next_validation(update: int, shared: AdversarialOptions) -> int:
    """The first multiple of `validate_every` after `update`, or the end."""
    return min(shared.updates, (update // shared.validate_every + 1) * shared.validate_every)


def _require_finite(games: Sequence[Progress], update: int) -> None:
    """RuntimeError for weights that are NaN or infinite, which no later update mends.

    Looking after every update would make the host wait for the device each time.
    """
    for number, game in enumerate(games):
        for name in ("generator", "discriminator"):
            weights = getattr(game.member, name).parameters()
            if not all(bool(torch.isfinite(tensor).all()) for tensor in weights):
                raise RuntimeError(
                    f"the weights of member {number}'s {name} are not finite after {update} "
                    f"updates; lower {name}_learning_rate or gradient_penalty, or play another "
                    "seed"
                )


def _validate(
    games: Sequence[Progress],
    update: int,
    segments: RaggedArray,
    validate: Validate,
    shared: AdversarialOptions,
    num_phones: int,
) -> None:
    for number, game in enumerate(games):
        if game.stopped_at is not None:
            continue
        generator = game.member.generator
        numbers = validate(transcribe_all(phones_only(generator, num_phones), segments))
        if shared.criterion not in numbers:
            raise ValueError(
                f"validation answered {sorted(numbers)}; expected {shared.criterion!r} among "
                "them, the number that training minimises"
            )
        losses = {name: float(value) for name, value in game.latest.items()}
        row = {"update": float(update), **numbers, **losses}
        game.history.append(row)
        for name, value in row.items():
            note(f"{name}/member {number}", update, value)
        if row[shared.criterion] <= min(entry[shared.criterion] for entry in game.history):
            game.best = deepcopy(generator.state_dict())
        log.info(
            "update %d, member %d: %s %.3f", update, number, shared.criterion, row[shared.criterion]
        )


def _stop_hopeless(games: Sequence[Progress], update: int, give_up: GiveUp, criterion: str) -> None:
    """Best is compared with best: a member may be in a bad moment, the population is not."""
    bests = [min(row[criterion] for row in game.history) for game in games]
    for number, (game, best) in enumerate(zip(games, bests, strict=True)):
        if game.stopped_at is None and best > give_up.ratio * min(bests):
            game.stopped_at = update
            log.info(
                "member %d stops: %s %.3f, the best has %.3f", number, criterion, best, min(bests)
            )


def _chosen(game: Progress, criterion: str, num_phones: int) -> TrainedGenerator:
    generator = deepcopy(game.member.generator)
    generator.load_state_dict(game.best)
    generator = phones_only(generator, num_phones)
    best = min(row[criterion] for row in game.history)
    update = max(int(row["update"]) for row in game.history if row[criterion] == best)
    return TrainedGenerator(generator.eval(), game.history, update, game.stopped_at)


def _fingerprint(
    members: Sequence[AdversarialOptions],
    give_up: GiveUp | None,
    data: UnpairedData,
    generator_init: Float32Array | None,
) -> str:
    """Digest of what decides the numbers; of the segments, only sizes and the first rows."""
    options = [[asdict(m) for m in members], None if give_up is None else asdict(give_up)]
    digest = sha256(json.dumps(options, sort_keys=True).encode())
    arrays = [data.segments.offsets, data.segments.values_array[:64], data.text_values]
    if data.auxiliary_classes is not None:
        arrays.append(data.auxiliary_classes.values_array)
    if generator_init is not None:
        arrays.append(generator_init)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
