"""Updates recorded once for each shape and replayed: the host then starts one graph, not a thousand
kernels (CUDA graphs).

A recorded update gathers its batch from the resident data by the numbers of a choice, which are
copied to where they were when it was recorded; it may know nothing else of the batch but how many
rows there are. Its draws are those of generators that are sown anew before each replay.

Axes: M members, Q terms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from gan.batches import Batch
from gan.resident import Choice, ResidentData
from gan.steps import Member, Rules, train_generators

Step = Callable[[Sequence[Member], Batch, Rules], dict[str, Tensor]]
WARM_UP = 3  # updates of a shape that are played before one is recorded


class Recorder(Protocol):
    """Runs a call once without effect and gives what repeats its work on the same tensors."""

    def record(
        self, call: Callable[[], Tensor], generators: Sequence[torch.Generator]
    ) -> tuple[Callable[[], None], Tensor]:
        """What to call for each repetition, and the tensor that its result is written to."""
        ...


class CudaRecorder:
    """CUDA graphs that share one pool of memory: they are replayed one after the other."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def record(
        self, call: Callable[[], Tensor], generators: Sequence[torch.Generator]
    ) -> tuple[Callable[[], None], Tensor]:
        """Other threads may go on allocating meanwhile: they draw the next batches."""
        graph = torch.cuda.CUDAGraph()
        for generator in generators:
            graph.register_generator_state(generator)  # pyright: ignore[reportAttributeAccessIssue]
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            found = call()
        return graph.replay, found


@dataclass
class _Shape:
    """What is kept of one kind of update, of one shape of batches."""

    played: int = 0
    choice: Choice | None = None  # where a recorded update reads
    replay: Callable[[], None] | None = None
    terms_QM: Tensor | None = None
    names: tuple[str, ...] = ()


@dataclass
class Replays:
    """The updates of one group of members on resident data."""

    members: Sequence[Member]
    rules: Rules
    data: ResidentData
    recorder: Recorder
    _shapes: dict[tuple[object, ...], _Shape] = field(default_factory=dict)

    def play(self, step: Step, choice: Choice) -> dict[str, Tensor]:
        """One update; its loss terms, each (M,), which later updates leave as they are."""
        if step is train_generators:  # fewer shapes, each of which is recorded
            choice = choice.without_text()
        key = (step, choice.speech_rows, choice.text_rows)
        shape = self._shapes.setdefault(key, _Shape())
        shape.played += 1
        if shape.choice is None:
            there = choice.numbers_4MB.to(self.data.device, copy=True)
            if shape.played <= WARM_UP:
                batch = self.data.gather(replace(choice, numbers_4MB=there))
                return step(self.members, batch, self.rules)
            shape.choice = replace(choice, numbers_4MB=there, draws=choice.draws.twin())
            self._record(step, shape, shape.choice)
        assert shape.replay is not None
        assert shape.terms_QM is not None
        shape.choice.numbers_4MB.copy_(choice.numbers_4MB, non_blocking=True)
        shape.choice.draws.sow_as(choice.draws)
        shape.replay()
        terms_QM = shape.terms_QM.clone()
        return dict(zip(shape.names, terms_QM, strict=True))

    def _record(self, step: Step, shape: _Shape, choice: Choice) -> None:
        def call() -> Tensor:
            terms = step(self.members, self.data.gather(choice), self.rules)
            shape.names = tuple(terms)
            return torch.stack([term.float() for term in terms.values()])

        shape.replay, shape.terms_QM = self.recorder.record(call, choice.draws.generators)
