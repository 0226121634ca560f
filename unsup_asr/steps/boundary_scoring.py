"""How well boundaries were found, by stage and by turn of the loop of game and HMM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from unsup_asr.engine.stages import StageContext
from unsup_asr.recognise.timing import spans
from unsup_asr.report.results import Row
from unsup_asr.report.tables import Iteration
from unsup_asr.scoring.boundaries import BoundaryScores, boundary_scores, phone_boundaries
from unsup_asr.steps.inputs import frame_timing, open_split
from unsup_asr.types import Seconds, Transcript


def found_edges_of(
    context: StageContext, stage: str = "segments"
) -> dict[str, tuple[Seconds, ...]]:
    """Boundaries of every test utterance, in seconds; none where the run made no segments."""
    if stage not in context.artifacts:
        return {}
    timing = frame_timing(context)
    kept = open_split(context, "features", "kept", "test")
    edges = open_split(context, stage, "boundaries", "test")
    return {i: phone_boundaries(*spans(edges[i], np.array(kept[i]), timing)) for i in edges}


def boundaries_of(
    found: Mapping[str, Sequence[Seconds]], references: Sequence[Transcript]
) -> BoundaryScores | None:
    """Scores of found boundaries; None without any, or without aligned references."""
    pairs = [
        (phone_boundaries(r.starts_s, r.ends_s), found.get(r.utterance_id, []))
        for r in references
        if r.starts_s
    ]
    return boundary_scores(pairs) if pairs and found else None


def iterations_of(
    context: StageContext, rows: Mapping[str, Row], references: Sequence[Transcript]
) -> tuple[Iteration, ...]:
    """What each turn of game, HMM and new boundaries reached; none in other runs."""
    turns: list[Iteration] = []
    edges_of = "segments"
    while f"hmm_{len(turns) + 1}" in rows:
        number = len(turns) + 1
        suffix, hmm = "" if number == 1 else f"_{number}", f"hmm_{number}"
        matching = f"matching{suffix}"
        before, after = (
            boundaries_of(found_edges_of(context, s), references) for s in (edges_of, hmm)
        )
        criterion = rows[hmm].criterion
        assert criterion is not None
        turns.append(
            Iteration(
                matching_per=rows[matching].per if matching in rows else None,
                gan_per=rows[f"gan{suffix}"].per,
                hmm_per=rows[hmm].per,
                hmm_criterion=criterion,
                f1_before=before.f1 if before else None,
                f1_after=after.f1 if after else None,
            )
        )
        edges_of = hmm
    return tuple(turns)
