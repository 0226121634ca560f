"""Phones or words of audio files with a trained model: what stages `model` and `words` wrote.

A model is a folder: network, inventory, what the decoder reads (n-gram model, maybe a lexicon) and
the options of features and decoder; that of stage `words` has a lexicon and a model of words too.
Of MFCC, the recording is normalised by its own mean and variance, where training used those of its
speaker.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unsup_asr.acoustic.network import AcousticNetwork, load_network
from unsup_asr.acoustic.posteriors import log_posteriors
from unsup_asr.formats.finished import DamagedArtifactError, check_digests, check_written
from unsup_asr.formats.names import shown, stem_id
from unsup_asr.formats.phone_text import read_inventory
from unsup_asr.protocols import PhoneDecoder, Silence, Upstream, WordDecoder
from unsup_asr.recognise.description import digests_of, made, read_description
from unsup_asr.recognise.features import (
    STATISTICS,
    of_one_speaker,
    trimmed_features,
)
from unsup_asr.recognise.phones import BLANK, decode_utterances
from unsup_asr.recognise.words import DECODER, WORDS_FOLDER, recognise_words, word_decoder
from unsup_asr.speech.audio import read_audio
from unsup_asr.speech.cutting import CutFrom
from unsup_asr.speech.timing import timing_of
from unsup_asr.types import Float32Array, FrameTiming, Hypothesis, Int32Array, WordHypothesis
from unsup_asr.upstreams.featurizer import ChosenLayer
from unsup_asr.upstreams.normalise import SpeakerStatistics, read_statistics

log = logging.getLogger(__name__)

_FILES = ("model.json", "network.json", "network.safetensors", "inventory.json")


@dataclass(frozen=True)
class Model:
    """A loaded model; `load_model` makes one."""

    upstream: Upstream
    silence: Silence
    cut_from: CutFrom
    statistics: SpeakerStatistics | None  # of training frames, where the upstream is a network
    network: AcousticNetwork
    decoder: PhoneDecoder
    inventory: list[str]

    def transcribe(self, audio: str | Path, *, channel: int | None = None) -> Hypothesis:
        """Phones of one file with start, end and confidence; the id is the file's name.

        Of one channel, counted from 1, or of their mean. ValueError when the file cannot be read
        or is shorter than 0.1 s.
        """
        posteriors, kept, timing = self.listen(audio, channel=channel)
        (hypothesis,) = decode_utterances(
            self.decoder,
            posteriors,
            self.inventory,
            stack=self.network.shape.stack,
            kept=kept,
            timing=timing,
        )
        return hypothesis

    def listen(
        self, audio: str | Path, *, channel: int | None = None
    ) -> tuple[dict[str, Float32Array], dict[str, Int32Array], FrameTiming]:
        """Log posteriors, original frames and timing of one file, by its id."""
        utterance_id = stem_id(Path(audio))
        sample_rate = self.upstream.sample_rate
        samples_N = read_audio(audio, sample_rate=sample_rate, channel=channel)
        found = trimmed_features(samples_N, [self.upstream], self.silence, cut_from=self.cut_from)
        if found is None:
            raise ValueError(
                f"{shown(audio)}: {len(samples_N) / sample_rate:.3f} s of audio hold no speech to "
                "recognise; expected at least 0.1 s"
            )
        (static_TD,), kept = found
        features = of_one_speaker({utterance_id: static_TD}, self.statistics)
        posteriors = log_posteriors(self.network, features)
        return posteriors, {utterance_id: np.asarray(kept)}, timing_of(self.upstream)


@dataclass(frozen=True)
class WordModel:
    """A model with a lexicon and a language model of words; `load_word_model` makes one."""

    model: Model
    decoder: WordDecoder

    def transcribe(
        self, audio: str | Path, *, channel: int | None = None
    ) -> tuple[WordHypothesis, Hypothesis]:
        """Words of one file, and their phones; otherwise as `Model.transcribe`."""
        posteriors, kept, timing = self.model.listen(audio, channel=channel)
        (found,) = recognise_words(
            self.decoder,
            posteriors,
            [BLANK, *self.model.inventory],
            stack=self.model.network.shape.stack,
            kept=kept,
            timing=timing,
        )
        return found


def load_word_model(folder: str | Path, *, trust: bool = False) -> WordModel:
    """The model in a folder (`exp/<recipe>/latest/words`); otherwise as `load_model`."""
    model = load_model(folder, trust=trust)
    described = read_description(Path(folder) / WORDS_FOLDER / DECODER, trust=trust)
    return WordModel(model, word_decoder(described, Path(folder) / WORDS_FOLDER))


def load_model(folder: str | Path, *, trust: bool = False) -> Model:
    """The model in a folder (`exp/<recipe>/latest/model`).

    A model may name classes of this project alone, for it may be anybody's; with `trust` any that
    can be imported, which is to run its code (docs/security.md). ValueError when a part is missing
    or damaged, or names something else.
    """
    folder = Path(folder)
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise ValueError(
            f"{folder}: no {missing[0]}; expected a folder with {', '.join(_FILES)}, such as "
            "exp/<recipe>/latest/model after a run"
        )
    path = folder / "model.json"
    try:
        check_written(path)
    except DamagedArtifactError as error:  # it may be edited, to name weights of another machine
        log.warning("%s. If you have not edited it, trust no transcript of it", error)
    options = read_description(path, "features", "upstream", "decoder", trust=trust)
    check_digests(folder, digests_of(options, path))
    upstream = made(options, "features.upstream", Upstream, path)
    if "layer" in options.features:
        upstream = ChosenLayer(upstream, options.features.layer)
    if upstream.fingerprint() != options.upstream:
        log.warning(
            "%s: the upstream %s has other weights, options or library versions than when the "
            "model was trained; expect worse phones, or train again",
            folder,
            options.features.upstream["_target_"],
        )
    statistics = folder / STATISTICS
    return Model(
        upstream=upstream,
        silence=made(options, "features.silence", Silence, path),
        cut_from="audio" if options.features.get("cut_from") == "audio" else "frames",
        statistics=read_statistics(statistics) if statistics.is_file() else None,
        network=load_network(folder),
        decoder=made(options, "decoder", PhoneDecoder, path, files_in=folder),
        inventory=read_inventory(folder / "inventory.json"),
    )
