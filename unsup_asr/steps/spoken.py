"""Stages `spoken_text` and `spoken_model`: a first model from the text itself, spoken by espeak-ng.

They stand where matching stands in the other road: both give self-training its first transcripts.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.lines import read_lines
from unsup_asr.formats.phone_text import phone_ids, read_inventory, read_phone_sentences
from unsup_asr.formats.ragged import RaggedWriter
from unsup_asr.progress import progress_bar
from unsup_asr.protocols import Silence
from unsup_asr.recognise.features import (
    STATISTICS,
    acoustic_upstream,
    of_one_speaker,
    one_torch_thread,
    trimmed_features,
)
from unsup_asr.speech.timing import timing_of
from unsup_asr.steps.ctc import train_and_decode
from unsup_asr.steps.inputs import open_split
from unsup_asr.types import Float32Array
from unsup_asr.upstreams.normalise import read_statistics


def run_spoken_text(context: StageContext) -> None:
    """Write `acoustic/train`, features normalised by voice, and `phones/train`, what they say."""
    text = context.input("text")
    inventory = read_inventory(text.file("inventory.json"))
    phones = read_phone_sentences(text.file("phones.txt"))
    written = list(read_lines(text.file("written.txt")))
    can_be_said = [number for number, line in enumerate(written) if line]
    if not can_be_said:
        raise ValueError(
            "no sentence of the text can be said at once: divide long lines; a text of phones "
            "alone has no words to say, and needs start=matching or start=game"
        )
    sentences = [written[number] for number in can_be_said]
    spoken_text = instantiate(context.config.start.spoken_text)
    upstream = acoustic_upstream(context.config.features)
    statistics = (
        read_statistics(context.input("features").file(STATISTICS))
        if "features" in context.artifacts
        else None
    )
    silence: Silence = instantiate(context.config.features.silence)
    cut_from = context.config.features.get("cut_from", "frames")
    num_voices, num_frames = spoken_text.num_voices, 0
    with (
        RaggedWriter(context.out / "acoustic" / "train") as features,
        RaggedWriter(context.out / "phones" / "train", dtype="int32") as targets,
        ThreadPoolExecutor(context.num_threads) as pool,
        one_torch_thread(),
        progress_bar(num_voices, "speak the text") as tick,
    ):
        for voice, spoken in enumerate(spoken_text.speak(sentences)):
            found = pool.map(
                lambda said: trimmed_features(
                    said.samples_N, [upstream], silence, cut_from=cut_from
                ),
                spoken,
            )
            frames: dict[str, Float32Array] = {}
            sentence_of: dict[str, int] = {}
            for i, (said, static) in enumerate(zip(spoken, found, strict=True)):
                if static is not None:
                    utterance_id = f"spoken-{voice:04d}-{i:04d}"
                    frames[utterance_id] = static[0][0]
                    sentence_of[utterance_id] = can_be_said[said.sentence]
            for utterance_id, x in of_one_speaker(frames, statistics).items():
                sentence = phones[sentence_of[utterance_id]]
                features.append(utterance_id, x)
                targets.append(utterance_id, phone_ids([p for w in sentence for p in w], inventory))
                num_frames += len(x)
            tick()
    summary = {"voices": num_voices, "hours": num_frames * timing_of(upstream).shift_s / 3600}
    (context.out / "spoken.json").write_text(json.dumps(summary), "utf-8")


def run_spoken_model(context: StageContext) -> None:
    """Train on the spoken text; decode the real recordings, which the model has never heard."""
    training = instantiate(context.config.start.training)
    features = open_split(context, "spoken_text", "acoustic", "train")
    targets = open_split(context, "spoken_text", "phones", "train")
    train_and_decode(context, training, features, targets, ("train", "dev", "test"))
