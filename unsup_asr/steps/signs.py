"""Signs of every unsupervised system of a run, by what it wrote for the training audio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.hypotheses import read_hypotheses
from unsup_asr.scoring.signs import TEXT, Signs, signs_of, signs_of_text
from unsup_asr.steps.criterion import measured_text, read_criterion, text_perplexity
from unsup_asr.steps.inputs import frame_timing, open_split


def signs_of_run(
    context: StageContext, systems: Sequence[str], segments_of: Mapping[str, str], *, final: str
) -> dict[str, Signs]:
    """Signs by system, those of the text first, as `text`.

    `segments_of`: of systems that name segments, the stage whose segments those are. `final`: the
    system that goes out.
    """
    text = measured_text(context)
    kept = open_split(context, "features", "kept", "train")
    seconds = [float(n) * frame_timing(context).shift_s for n in kept.lengths]
    found = {TEXT: signs_of_text(text, seconds=seconds, perplexity=text_perplexity(context))}
    wrote = {system: _written(context, system) for system in systems}
    for system, phones in wrote.items():
        segments = segments_of.get(system)
        found[system] = signs_of(
            [phones.get(i, ()) for i in kept],
            text,
            seconds=seconds,
            perplexity=read_criterion(context.input(system)),
            final=[wrote[final].get(i, ()) for i in kept],
            named_segments=_named_segments(context, system, segments) if segments else None,
        )
    return found


def _written(context: StageContext, system: str) -> dict[str, tuple[str, ...]]:
    """Phones of the training audio, by utterance."""
    found = read_hypotheses(context.input(system).file("hypotheses/train.tsv"))
    return {h.utterance_id: h.phones for h in found}


def _named_segments(context: StageContext, system: str, segments: str) -> list[list[int]]:
    """The phone of each segment of the training audio, equal neighbours not merged."""
    labels = open_split(context, system, "labels", "train")
    edges = open_split(context, segments, "boundaries", "train")
    return [np.array(labels[i])[np.array(edges[i])[:-1]].tolist() for i in labels]
