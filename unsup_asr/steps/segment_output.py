"""What matching and the game end with: a phone for every segment.

Where the game's text has silences, so have its posteriors: a last column, past the phones of the
inventory. A silent segment is no phone of a hypothesis; its frames belong to the phone before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf

from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.hypotheses import write_hypotheses
from unsup_asr.formats.phone_text import (
    read_inventory,
)
from unsup_asr.formats.ragged import RaggedWriter
from unsup_asr.protocols import DecodedPhones, PhoneDecoder
from unsup_asr.recognise.timing import timed
from unsup_asr.speech.runs import merge_repeats, run_starts
from unsup_asr.steps.criterion import run_criterion
from unsup_asr.steps.inputs import frame_timing, open_split
from unsup_asr.types import Float32Array, Hypothesis, Int32Array

_SILENCE = "<SIL>"  # the name of the last column


def write_segment_posteriors(
    context: StageContext, posteriors: Mapping[str, Mapping[str, Float32Array]]
) -> None:
    """What matching and the game end with, from phone posteriors (S, V) of every segment.

    Writes `labels` (one a training frame), hypotheses of the likeliest phones, the posteriors of
    the test split, and the criterion. One utterance's are in memory at a time.
    """
    inventory = read_inventory(context.input("text").file("inventory.json"))
    phones = {
        split: {i: p.argmax(axis=1).astype(np.int32) for i, p in of_split.items()}
        for split, of_split in posteriors.items()
    }
    for split, of_split in phones.items():
        write_segment_hypotheses(context, split, of_split, inventory)
    boundaries = open_split(context, "segments", "boundaries", "train")
    with RaggedWriter(context.out / "labels" / "train", dtype="int32") as writer:
        for utterance_id, ids in phones["train"].items():
            if not len(phones_of(ids, inventory)):  # nothing was said: the likeliest phones
                posteriors_SV = posteriors["train"][utterance_id]
                ids = posteriors_SV[:, : len(inventory)].argmax(axis=1).astype(np.int32)
            lengths = np.diff(np.array(boundaries[utterance_id]))
            writer.append(utterance_id, np.repeat(_without_silence(ids, len(inventory)), lengths))
    with RaggedWriter(context.out / "posteriors" / "test") as writer:
        for utterance_id, posteriors_SV in posteriors["test"].items():
            writer.append(utterance_id, posteriors_SV)
    spoken = (phones_of(merge_repeats(ids), inventory) for ids in phones["train"].values())
    run_criterion(context, [[inventory[p] for p in ids] for ids in spoken])


def phones_of(ids: Int32Array, inventory: Sequence[str]) -> Int32Array:
    """Those that are phones: what lies past the inventory is silence."""
    return ids[ids < len(inventory)]


def _without_silence(ids_S: Int32Array, num_phones: int) -> Int32Array:
    """The phone that each silent segment belongs to: the one before, of first ones the one after.

    At least one segment is no silence.
    """
    spoken = np.flatnonzero(ids_S < num_phones)
    before_S = np.searchsorted(spoken, np.arange(len(ids_S)), side="right") - 1
    return ids_S[spoken[np.maximum(before_S, 0)]]


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
        starts = run_starts(ids)
        starts = starts[ids[starts] < len(inventory)]
        found[utterance_id] = (tuple(str(inventory[p]) for p in ids[starts].tolist()), starts)
    _write_timed(context, split, found, folder)


def run_segments_lm(context: StageContext, *, system: str) -> None:
    """Stages `<system>_lm`: posteriors of the test split decoded with the phone language model.

    They are floored first: where a table is sure, it is often wrong. The model of the text has no
    silence: where the posteriors have, it is passed over.
    """
    inventory = read_inventory(context.input("text").file("inventory.json"))
    is_unjoined = context.input(system).has("unjoined/test/values.npy")
    posteriors = open_split(context, system, "unjoined" if is_unjoined else "posteriors", "test")
    options = context.config.language_model
    arpa = context.input("language_model").file("phones.arpa")
    has_silence = posteriors.values_array.shape[1] > len(inventory)
    columns = [*inventory, _SILENCE] if has_silence else inventory
    given = {"lm_path": str(arpa)} | ({"silence_token": _SILENCE} if has_silence else {})
    decoder: PhoneDecoder = instantiate(OmegaConf.create({**options.segment_decoder, **given}))
    floored = [p + options.posterior_floor for p in posteriors.values()]
    logs = [np.log(p / p.sum(axis=1, keepdims=True)).astype(np.float32) for p in floored]
    decoded = decoder.decode_batch(logs, columns)
    found = {
        utterance_id: _spoken(best)
        for utterance_id, (best, *_) in zip(posteriors, decoded, strict=True)
    }
    edges_of = "runs" if is_unjoined else "boundaries"
    _write_timed(context, "test", found, "hypotheses", edges_of=edges_of)


def _spoken(decoded: DecodedPhones) -> tuple[tuple[str, ...], NDArray[np.integer]]:
    """Phones without silences, and the segments where they start."""
    pairs = zip(decoded.phones, decoded.start_frames, strict=True)
    kept = [(phone, start) for phone, start in pairs if phone != _SILENCE]
    return tuple(phone for phone, _ in kept), np.array([start for _, start in kept], dtype=int)


def _write_timed(
    context: StageContext,
    split: str,
    found: Mapping[str, tuple[tuple[str, ...], NDArray[np.integer]]],
    folder: str,
    *,
    edges_of: str = "boundaries",
) -> None:
    """Hypotheses of phones that start at these segments, with times in the original audio."""
    timing = frame_timing(context)
    kept = open_split(context, "features", "kept", split)
    boundaries = open_split(context, "segments", edges_of, split)

    def hypotheses() -> Iterator[Hypothesis]:
        for utterance_id, (phones, first_segments) in found.items():
            edges = np.array(boundaries[utterance_id])
            starts = np.append(edges[first_segments], edges[-1])
            yield timed(utterance_id, phones, starts, kept[utterance_id], timing)

    write_hypotheses(context.out / folder / f"{split}.tsv", hypotheses())
