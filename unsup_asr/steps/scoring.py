"""What several stages write: hypotheses with times, and the unsupervised criterion."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf

from unsup_asr.engine.artifacts import Artifact
from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.hypotheses import write_hypotheses
from unsup_asr.formats.phone_text import flat_phones, read_inventory, read_phone_sentences
from unsup_asr.protocols import LanguageModelScorer, PhoneDecoder
from unsup_asr.scoring.criterion import weighted_perplexity
from unsup_asr.speech.timing import frame_boundary
from unsup_asr.steps.data import open_split
from unsup_asr.types import Float32Array, Hypothesis, Int32Array, Seconds

_MEASURED_SENTENCES = 5000  # of the text


def run_criterion(context: StageContext, sequences: Sequence[Sequence[str]]) -> float:
    """Write `criterion.json`: perplexity, phones used, weighted perplexity."""
    inventory = read_inventory(context.input("text").file("inventory.json"))
    scorer: LanguageModelScorer = instantiate(context.config.language_model.scorer)
    arpa = context.input("language_model").file("phones.arpa")
    spoken = [s for s in sequences if s]
    perplexity = scorer.perplexity(arpa, spoken) if spoken else float("inf")
    weighted = weighted_perplexity(perplexity, spoken, num_phones=len(inventory))
    num_used = len({phone for sequence in spoken for phone in sequence})
    found = {
        "perplexity": perplexity,
        "phones_used": num_used,
        "num_phones": len(inventory),
        "weighted": weighted,
        "mean_length": float(np.mean([len(s) for s in sequences])),
    }
    (context.out / "criterion.json").write_text(json.dumps(found, indent=1), "utf-8")
    return weighted


def read_criterion(artifact: Artifact) -> float:
    """The weighted perplexity of a system's unconstrained output."""
    return float(json.loads(artifact.file("criterion.json").read_text("utf-8"))["weighted"])


def measured_text(context: StageContext) -> list[list[str]]:
    """Phones of the text's first sentences, enough to compare an output with."""
    text = read_phone_sentences(context.input("text").file("phones.txt"))[:_MEASURED_SENTENCES]
    return [flat_phones(sentence) for sentence in text]


def text_perplexity(context: StageContext) -> float:
    """Of the measured text under the model of the whole text: what to compare with."""
    scorer: LanguageModelScorer = instantiate(context.config.language_model.scorer)
    arpa = context.input("language_model").file("phones.arpa")
    return scorer.perplexity(arpa, measured_text(context))


def boundary_times(
    edges: Int32Array, kept: Int32Array, timing: Mapping[str, float]
) -> list[Seconds]:
    """Seconds in the original audio of edges in trimmed frames (0 to len(kept), ends included)."""
    original = np.append(kept, kept[-1] + 1)[np.minimum(edges, len(kept))]
    return [
        frame_boundary(
            int(f), shift_s=timing["frame_shift_s"], first_centre_s=timing["first_centre_s"]
        )
        for f in original
    ]


def write_segment_hypotheses(
    context: StageContext,
    split: str,
    phones: Mapping[str, Int32Array],
    inventory: Sequence[str],
    *,
    folder: str = "hypotheses",
) -> None:
    """`<folder>/<split>.tsv` of phones given for each segment; equal neighbours are one phone."""
    found = {}
    for utterance_id, ids in phones.items():
        is_start = np.concatenate([[True], ids[1:] != ids[:-1]])
        named = tuple(str(inventory[p]) for p in ids[is_start].tolist())
        found[utterance_id] = (named, np.flatnonzero(is_start))
    _write_timed(context, split, found, folder)


def write_decoded_segments(
    context: StageContext,
    split: str,
    posteriors: Mapping[str, Float32Array],
    inventory: Sequence[str],
) -> None:
    """`hypotheses_lm/<split>.tsv`: segments' posteriors (S, V) with the phone language model.

    They are floored first: where a table is sure, it is often wrong.
    """
    options = context.config.language_model
    arpa = context.input("language_model").file("phones.arpa")
    decoder: PhoneDecoder = instantiate(
        OmegaConf.create({**options.segment_decoder, "lm_path": str(arpa)})
    )
    floored = [p + options.posterior_floor for p in posteriors.values()]
    logs = [np.log(p / p.sum(axis=1, keepdims=True)).astype(np.float32) for p in floored]
    decoded = decoder.decode_batch(logs, inventory)
    found = {
        utterance_id: (best.phones, np.array(best.start_frames, dtype=int))
        for utterance_id, (best, *_) in zip(posteriors, decoded, strict=True)
    }
    _write_timed(context, split, found, "hypotheses_lm")


def _write_timed(
    context: StageContext,
    split: str,
    found: Mapping[str, tuple[tuple[str, ...], NDArray[np.integer]]],
    folder: str,
) -> None:
    """Hypotheses of phones that start at these segments, with times in the original audio."""
    timing = json.loads(context.input("features").file("timing.json").read_text("utf-8"))
    kept = open_split(context, "features", "kept", split)
    boundaries = open_split(context, "segments", "boundaries", split)
    hypotheses: list[Hypothesis] = []
    for utterance_id, (phones, first_segments) in found.items():
        edges = np.array(boundaries[utterance_id])
        starts = np.append(edges[first_segments], edges[-1])
        times = boundary_times(starts, np.array(kept[utterance_id]), timing)
        hypotheses.append(Hypothesis(utterance_id, phones, tuple(times[:-1]), tuple(times[1:])))
    (context.out / folder).mkdir(parents=True, exist_ok=True)
    write_hypotheses(context.out / folder / f"{split}.tsv", hypotheses)
