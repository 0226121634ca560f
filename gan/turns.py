"""Whose turn it is: numbered updates of the game, with their batches drawn ahead."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from gan.batches import Batch, UnpairedData
from gan.checkpoint import Progress
from gan.ngram_matching import NgramTable
from gan.options import NGRAMS, AdversarialOptions, game_rules
from gan.replay import CudaRecorder, Replays, Step
from gan.resident import Choice, ResidentData, free_bytes
from gan.steps import Member, Rules, match_ngrams, train_discriminators, train_generators
from unsup_asr import compute
from unsup_asr.lookahead import map_ahead

log = logging.getLogger(__name__)

BATCHES_AHEAD = 2  # drawn while an update is played


@dataclass(frozen=True)
class Turns:
    """What plays numbered updates, with their batches drawn in a thread beforehand."""

    data: UnpairedData
    resident: ResidentData | None  # the same on an accelerator
    shared: AdversarialOptions
    rules: Rules
    table: NgramTable | None
    device: torch.device
    replays: dict[tuple[int, ...], Replays] = field(default_factory=dict)  # by the members' numbers

    @classmethod
    def of(cls, data: UnpairedData, shared: AdversarialOptions) -> Turns:
        """The turns that the members' common options ask for, where this process computes."""
        device = compute.device()
        is_host = device.type == "cpu"
        rules = replace(game_rules(shared), fixed_rows=not is_host)
        resident, table = None, None
        if not is_host:
            is_short = rules.generator_dtype is torch.bfloat16 and shared.objective != NGRAMS
            resident = ResidentData.of(
                data,
                device,
                dtype=torch.bfloat16 if is_short else None,
                free_bytes=free_bytes(device),
            )
            if not resident.holds_segments:
                log.info("segments do not fit on %s: those of each batch are sent", device)
        if shared.objective == NGRAMS:
            table = NgramTable.of_text(
                data.text_values,
                data.text_offsets,
                order=shared.ngram_order,
                most=shared.num_ngrams,
            ).to(device)
        return cls(data, resident, shared, rules, table, device)

    def play(
        self,
        games: Sequence[Progress],
        updates: Iterable[int],
        pool: Executor,
        progress: Callable[[], None],
    ) -> None:
        """These updates of these games: in one batch of tensors on a GPU, one by one on a CPU.

        Numbers are the same. A CPU gains nothing from larger matrix products and loses its
        caches: at the published sizes 4 members together cost 6.8 times one, not 4.
        """
        groups = [[game] for game in games] if self.device.type == "cpu" else [games]
        turns = [(update, group) for update in updates for group in groups]
        batches = map_ahead(pool, self._draw, turns, ahead=BATCHES_AHEAD)
        for (update, group), batch in zip(turns, batches, strict=True):
            self._play(group, update, batch)
            if group is groups[-1]:
                progress()

    def _draw(self, turn: tuple[int, Sequence[Progress]]) -> Batch | Choice:
        update, games = turn
        seeds, size = [game.member.options.seed for game in games], self.shared.batch_size
        if self.resident is not None and self._is_replayed:
            return self.resident.choose(update, seeds=seeds, batch_size=size)
        if self.resident is not None:
            return self.resident.draw(update, seeds=seeds, batch_size=size)
        return self.data.draw(update, seeds=seeds, batch_size=size, device=self.device)

    def _play(self, games: Sequence[Progress], update: int, batch: Batch | Choice) -> None:
        members = [game.member for game in games]
        if self.table is not None:
            assert isinstance(batch, Batch)
            terms = match_ngrams(members, batch, self.rules, self.table)
        else:
            is_generators = self.shared.plays_generator(update)
            step = train_generators if is_generators else train_discriminators
            terms = self._adversarial(step, members, batch)
        for number, game in enumerate(games):
            game.latest.update({name: term[number] for name, term in terms.items()})

    def _adversarial(
        self, step: Step, members: Sequence[Member], batch: Batch | Choice
    ) -> dict[str, Tensor]:
        if isinstance(batch, Batch):
            return step(members, batch, self.rules)
        playing = tuple(map(id, members))
        if playing not in self.replays:
            assert self.resident is not None
            self.replays.clear()  # members that stopped are no longer in the group
            self.replays[playing] = Replays(members, self.rules, self.resident, CudaRecorder())
        return self.replays[playing].play(step, batch)

    @property
    def _is_replayed(self) -> bool:
        """Padding as fairseq's has shapes that follow from the longest utterance of a batch."""
        can = self.resident is not None and self.resident.holds_segments
        can = can and self.table is None and self.shared.padding == "masked"
        return can and self.device.type == "cuda" and compute.replays_updates()
