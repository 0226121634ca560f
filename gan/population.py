"""Many members of one game, played side by side; which one to keep is decided without labels.

A single adversarial training may fail where its twin with another seed succeeds. Members share
every matrix product, so several cost less than one after the other, and hopeless ones stop early.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import product

from gan.infer import TrainedGenerator
from gan.options import OWN_OPTIONS
from gan.selection import RULES, output_statistics
from gan.trainer import AdversarialTrainer, GiveUp, play
from unsup_asr.ranges import PositiveInt, Real
from unsup_asr.types import Int32Array


@dataclass(frozen=True, kw_only=True)
class Population:
    """Every combination of `vary` with each of `num_seeds` seeds, counted from the trainer's own.

    `rule` names what chooses among the members at the end: one of gan.selection.RULES.
    """

    num_seeds: PositiveInt = 1
    vary: Mapping[str, Sequence[Real]] = field(default_factory=dict)
    rule: str = "weighted_perplexity"
    give_up: GiveUp | None = None

    def __post_init__(self) -> None:
        if self.num_seeds < 1:
            raise ValueError(f"num_seeds is {self.num_seeds}; expected at least 1")
        if self.rule not in RULES:
            raise ValueError(f"rule is {self.rule!r}; expected one of {sorted(RULES)}")
        for name, values in self.vary.items():
            if name == "seed" or name not in OWN_OPTIONS:
                allowed = ", ".join(o for o in OWN_OPTIONS if o != "seed")
                raise ValueError(f"vary names {name!r}; members may differ in {allowed}")
            if not values:
                raise ValueError(f"vary gives no value for {name}; give at least one, or drop it")

    def members(self, trainer: AdversarialTrainer) -> list[AdversarialTrainer]:
        """The options of each member: seeds fastest, then the last option of `vary`."""
        names = list(self.vary)
        return [
            replace(trainer, seed=trainer.seed + seed, **dict(zip(names, values, strict=True)))
            for values in product(*self.vary.values())
            for seed in range(self.num_seeds)
        ]

    def differences(self, trainer: AdversarialTrainer) -> list[dict[str, float]]:
        """What sets each member apart: its seed and the options that `vary` names."""
        names = ("seed", *self.vary)
        return [{name: asdict(member)[name] for name in names} for member in self.members(trainer)]

    def player(self, trainer: AdversarialTrainer) -> partial[list[TrainedGenerator]]:
        """`gan.trainer.play` with the members of this population: call it with the rest."""
        return partial(play, self.members(trainer), give_up=self.give_up)

    def choices(
        self,
        transcripts_of_members: Sequence[Sequence[Int32Array]],
        perplexities: Sequence[float],
        *,
        vocabulary_size: int,
    ) -> dict[str, int]:
        """The member that each known rule would take, by what members wrote and its perplexity."""
        outputs = [
            output_statistics(
                [t for t in transcripts if len(t)] or transcripts,
                perplexity,
                vocabulary_size=vocabulary_size,
            )
            for transcripts, perplexity in zip(transcripts_of_members, perplexities, strict=True)
        ]
        return {name: choose(outputs) for name, choose in RULES.items()}
