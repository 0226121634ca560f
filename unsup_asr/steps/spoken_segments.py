"""Stage `spoken_segments`: how many segments each phone gets when the text is spoken and cut.

espeak-ng says sentences of the text, with the times of their phones, and a segmenter of the same
kind and rate cuts them. Nothing of the recordings is read but nothing of the segmenter is theirs
either: its scales and threshold are learned on this speech anew, for noise moves them.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from unsup_asr.corpora.spoken_text import SpokenSentence, SpokenText
from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.lines import read_lines
from unsup_asr.formats.phone_text import read_inventory
from unsup_asr.formats.ragged import RaggedArray, RaggedWriter
from unsup_asr.progress import progress, progress_bar
from unsup_asr.protocols import Segmenter, Silence, Upstream
from unsup_asr.recognise.features import one_torch_thread, trimmed_features
from unsup_asr.speech.runs import run_starts
from unsup_asr.speech.timing import timing_of
from unsup_asr.steps.units import ask_for_rate
from unsup_asr.types import Float32Array, Int32Array
from unsup_asr.upstreams.normalise import normalise_speaker, speaker_statistics

log = logging.getLogger(__name__)


def run_spoken_segments(context: StageContext) -> None:
    """Write `phones/train`, those of spoken sentences, and `num_segments/train`, of each phone.

    Equal neighbours among the phones are one phone, as matching reads the text. A phone that is
    not in the text's inventory has the first number that no other has.
    """
    options = context.config.segmentation
    inventory = read_inventory(context.input("text").file("inventory.json"))
    ids = {phone: i for i, phone in enumerate(inventory)}
    sentences = [x for x in read_lines(context.input("text").file("written.txt")) if x]
    if not sentences:
        raise ValueError("no sentence of the text is short enough to be said at once; divide them")
    spoken_text: SpokenText = instantiate(context.config.matching.spoken_text)
    upstream: Upstream = instantiate(context.config.features.boundary_upstream)
    silence: Silence = instantiate(context.config.features.silence)
    timing = timing_of(upstream)
    said: dict[str, tuple[Int32Array, NDArray[np.int64]]] = {}
    scratch, num_unknown = context.out / "scratch", 0
    with RaggedWriter(scratch) as writer, one_torch_thread():
        for utterance_id, sentence, frames_TD, kept_T in _spoken(
            spoken_text, sentences, upstream, silence
        ):
            centres_T = kept_T * timing.shift_s + timing.first_centre_s
            phones = np.array([ids.get(phone, len(ids)) for phone in sentence.phones], np.int32)
            num_unknown += int(np.sum(phones == len(ids)))
            writer.append(utterance_id, frames_TD)
            said[utterance_id] = (phones, phone_of_frames(centres_T, sentence.starts_s))
    num_phones = sum(len(phones) for phones, _ in said.values())
    if num_unknown > num_phones / 10 or not said:
        raise ValueError(
            f"{num_unknown} of the {num_phones} phones that espeak-ng spoke are not in the text's "
            f"inventory; is {spoken_text.language!r} (matching.spoken_text.language) its language? "
            "Where its phones are not espeak-ng's, use matching=skip_bigrams"
        )
    frames = RaggedArray.open(scratch)
    segmenter: Segmenter = instantiate(options.segmenter)
    if options.segments_per_phone is not None:
        seconds = float(np.sum(frames.lengths)) * timing.shift_s
        ask_for_rate(segmenter, options.segments_per_phone, phones_per_second=num_phones / seconds)
    segmenter.fit(frames, timing)
    num_segments = 0
    with (
        RaggedWriter(context.out / "phones" / "train", dtype="int32") as phone_writer,
        RaggedWriter(context.out / "num_segments" / "train", dtype="int32") as number_writer,
    ):
        for utterance_id, (phones, phone_T) in progress(said.items(), "cut the spoken text"):
            boundaries = segmenter.boundaries(np.array(frames[utterance_id]))
            count = segments_of_phones(boundaries, phone_T, num_phones=len(phones))
            starts = run_starts(phones)
            phone_writer.append(utterance_id, phones[starts])
            number_writer.append(utterance_id, np.add.reduceat(count, starts).astype(np.int32))
            num_segments += len(boundaries) - 1
    shutil.rmtree(scratch)
    summary = {
        "sentences": len(said),
        "phones": num_phones,
        "unknown_phones": num_unknown,
        "segments_per_phone": num_segments / num_phones,
    }
    log.info("spoken segments: %s", summary)
    (context.out / "spoken_segments.json").write_text(json.dumps(summary), "utf-8")


def phone_of_frames(
    centres_T: NDArray[np.floating], starts_s: NDArray[np.floating]
) -> NDArray[np.int64]:
    """Index of the phone that each frame lies in; the first and last reach to the ends."""
    return np.clip(np.searchsorted(starts_s, centres_T, side="right") - 1, 0, len(starts_s) - 1)


def segments_of_phones(
    boundaries: Int32Array, phone_T: NDArray[np.int64], *, num_phones: int
) -> NDArray[np.int64]:
    """How many segments each phone has: a segment is of the phone that most of its frames are."""
    owners = [np.bincount(phone_T[begin:end]).argmax() for begin, end in pairwise(boundaries)]
    return np.bincount(owners, minlength=num_phones)


def _spoken(
    spoken_text: SpokenText, sentences: Sequence[str], upstream: Upstream, silence: Silence
) -> Iterator[tuple[str, SpokenSentence, Float32Array, Int32Array]]:
    """Id, sentence, frames normalised by voice and their original indices, voice by voice."""
    with progress_bar(spoken_text.num_voices, "speak the text") as tick:
        for number, voice in enumerate(spoken_text.speak(sentences)):
            found = {
                f"spoken-{number:04d}-{i:04d}": (sentence, frames)
                for i, sentence in enumerate(voice)
                if (frames := trimmed_features(sentence.samples_N, [upstream], silence)) is not None
            }
            raw = {i: frames[0][0] for i, (_, frames) in found.items()}
            if raw:
                statistics = speaker_statistics(raw, dict.fromkeys(raw, "one"))["one"]
                for i, (sentence, (_, kept_T)) in found.items():
                    yield i, sentence, normalise_speaker(raw[i], statistics), kept_T
            tick()
