"""What the tables of a run can reach at most, and by chance: clusters against references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unsup_asr.engine.stages import StageContext
from unsup_asr.recognise.timing import spans
from unsup_asr.scoring.maps import (
    MapScores,
    longest,
    majority_map,
    random_map,
    seconds_of_phones,
    written,
)
from unsup_asr.scoring.metrics import score
from unsup_asr.scoring.nulls import NUM_DRAWS
from unsup_asr.steps.inputs import frame_timing, open_split
from unsup_asr.steps.references import read_references
from unsup_asr.types import Hypothesis, Int32Array, Transcript


@dataclass(frozen=True)
class Table:
    """A matching, and the stages of the segments and the clusters that its table names."""

    system: str
    segments: str
    units: str


def score_maps(
    context: StageContext,
    tables: Sequence[Table],
    references: Sequence[Transcript],
    frequencies: Mapping[str, float],
) -> tuple[MapScores, ...]:
    """Scores of every matching's clusters on test; majority maps are made on training audio.

    `frequencies`: the text's, of phones.
    """
    if not tables:
        return ()
    heard = _Heard(context, references)
    return tuple(heard.scores(table, frequencies) for table in tables)


class _Heard:
    """References of training and test audio, the former read where they have times."""

    def __init__(self, context: StageContext, references: Sequence[Transcript]) -> None:
        self._context = context
        self._test = references
        self._is_aligned = all(r.starts_s for r in references if r.phones)
        self._train = read_references(context, "train") if self._is_aligned else []

    def scores(self, table: Table, frequencies: Mapping[str, float]) -> MapScores:
        clusters = self._clusters(table, "test")
        majority = segments = None
        if self._is_aligned:
            overlaps = self._overlaps(table, "train", self._train)
            found = majority_map(self._clusters(table, "train"), overlaps)
            majority = self._per({i: _mapped(ids, found) for i, ids in clusters.items()})
            of_test = self._overlaps(table, "test", self._test)
            segments = self._per(
                {i: written([longest(o) if o else None for o in each])
                 for i, each in of_test.items()}
            )  # fmt: skip
        drawn = [
            random_map(clusters, frequencies, np.random.default_rng([self._context.seed, draw]))
            for draw in range(NUM_DRAWS)
        ]
        by_chance = [self._per({i: _mapped(ids, m) for i, ids in clusters.items()}) for m in drawn]
        return MapScores(
            system=table.system,
            random_map=float(np.mean(by_chance)),
            majority_map=majority,
            segments=segments,
        )

    def _clusters(self, table: Table, split: str) -> dict[str, Int32Array]:
        clusters = open_split(self._context, table.units, "clusters", split)
        return {i: np.array(clusters[i]) for i in clusters}

    def _overlaps(self, table: Table, split: str, references: Sequence[Transcript]) -> dict:
        timing = frame_timing(self._context)
        kept = open_split(self._context, "features", "kept", split)
        edges = open_split(self._context, table.segments, "boundaries", split)
        said = {r.utterance_id: r for r in references}
        return {
            i: seconds_of_phones(spans(np.array(edges[i]), np.array(kept[i]), timing), said[i])
            for i in edges
            if i in said
        }

    def _per(self, phones: Mapping[str, tuple[str, ...]]) -> float:
        """Utterances too short for segments count as empty."""
        hypotheses = [
            Hypothesis(r.utterance_id, phones.get(r.utterance_id, ())) for r in self._test
        ]
        return score(self._test, hypotheses).rate


def _mapped(clusters_S: Int32Array, phones: Mapping[int, str]) -> tuple[str, ...]:
    return written([phones.get(cluster) for cluster in clusters_S.tolist()])
