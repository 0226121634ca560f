"""Phones or words of audio files with a trained model: what stages `model` and `words` wrote.

A model is a folder: network, inventory, what the decoder reads (n-gram model, maybe a lexicon) and
the options of features and decoder; that of stage `words` has a lexicon and a model of words too.
Of MFCC, the recording is normalised by its own mean and variance, where training used those of its
speaker. A recording of more than a minute is heard in pieces.
"""

# Axes: N samples, T frames out of the network, K frames of speech, D dims, V outputs.

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

import numpy as np

from unsup_asr.acoustic.network import AcousticNetwork, load_network
from unsup_asr.acoustic.posteriors import WaveNetwork, log_posteriors
from unsup_asr.formats.finished import DamagedArtifactError, check_digests, check_written
from unsup_asr.formats.names import shown, stem_id
from unsup_asr.formats.phone_text import read_inventory
from unsup_asr.protocols import PhoneDecoder, Silence, Upstream, WordDecoder
from unsup_asr.recognise.acoustic_models import (
    FINETUNED,
    PUBLISHED,
    FinetunedUpstream,
    NoSilence,
    PosteriorsAsHeard,
    model_files,
    neutral_statistics,
)
from unsup_asr.recognise.description import digests_of, made, read_description
from unsup_asr.recognise.features import STATISTICS, trimmed_features, unnormalised
from unsup_asr.recognise.long_audio import AROUND_S, LONGEST_S, RecentFrames, SilenceAfterSpeech
from unsup_asr.recognise.phones import BLANK, decode_utterances
from unsup_asr.recognise.stretches import Heard, joined, own_part
from unsup_asr.recognise.words import DECODER, WORDS_FOLDER, recognise_words, word_decoder
from unsup_asr.speech.audio import announced_s, read_blocks
from unsup_asr.speech.cutting import CutFrom
from unsup_asr.speech.pieces import Piece, cut_in_pieces
from unsup_asr.speech.timing import timing_of
from unsup_asr.types import Float32Array, Hypothesis, Int32Array, Seconds, WordHypothesis
from unsup_asr.upstreams.featurizer import ChosenLayer
from unsup_asr.upstreams.normalise import (
    SpeakerStatistics,
    normalise_speaker,
    read_statistics,
    speaker_statistics,
    streamed_statistics,
)

log = logging.getLogger(__name__)


class _Hears(ABC):
    """Recordings heard in pieces, whatever is made of the posteriors of one."""

    @property
    @abstractmethod
    def acoustic(self) -> Model:
        """What gives the posteriors."""

    @abstractmethod
    def decoded(
        self, utterance_id: str, log_posteriors_TV: Float32Array, kept_K: Int32Array
    ) -> tuple[Hypothesis, WordHypothesis | None]:
        """Phones, and words where they are looked for, with times from where the audio of the
        frames begins.
        """

    def hear(self, audio: str | Path, *, channel: int | None = None) -> Iterator[Heard]:
        """What `transcribe` gives, one stretch of the file after another; a minute is one."""
        return _heard_in_file(self, Path(audio), channel)

    def hear_blocks(
        self,
        blocks: Iterable[Float32Array],
        *,
        utterance_id: str,
        longest_s: Seconds,
        partial_s: Seconds | None = None,
    ) -> Iterator[Heard]:
        """Stretches of audio as it comes, in blocks (N,) at the upstream's rate.

        A stretch lasts `longest_s` at the most. With `partial_s`, what is known of one is given
        as well whenever so much more audio has come.
        """
        return _heard_in_blocks(self, blocks, utterance_id, longest_s, partial_s)


@dataclass(frozen=True)
class Model(_Hears):
    """A loaded model; `load_model` makes one."""

    upstream: Upstream
    silence: Silence
    cut_from: CutFrom
    statistics: SpeakerStatistics | None  # of training frames, where the upstream is a network
    network: AcousticNetwork | WaveNetwork
    decoder: PhoneDecoder
    inventory: list[str]

    @property
    def acoustic(self) -> Model:
        """This one."""
        return self

    def transcribe(self, audio: str | Path, *, channel: int | None = None) -> Hypothesis:
        """Phones of one file with start, end and confidence; the id is the file's name.

        Of one channel, counted from 1, or of their mean. ValueError when the file cannot be read
        or is shorter than 0.1 s.
        """
        return joined(self.hear(audio, channel=channel)).phones

    def decoded(
        self, utterance_id: str, log_posteriors_TV: Float32Array, kept_K: Int32Array
    ) -> tuple[Hypothesis, None]:
        """Phones, with times from where the audio of the frames begins."""
        (hypothesis,) = decode_utterances(
            self.decoder,
            {utterance_id: log_posteriors_TV},
            self.inventory,
            stack=self.network.stack,
            kept={utterance_id: kept_K},
            timing=timing_of(self.upstream),
        )
        return hypothesis, None

    def frames(
        self, samples_N: Float32Array, silence: Silence
    ) -> tuple[Float32Array, Int32Array] | None:
        """What is to be normalised for the network, (K, D), and the original frames, (K,).

        MFCC have their deltas beside them. None for audio without speech.
        """
        found = trimmed_features(samples_N, [self.upstream], silence, cut_from=self.cut_from)
        if found is None:
            return None
        (static_TD,), kept = found
        return unnormalised(static_TD, self.statistics), np.asarray(kept)


@dataclass(frozen=True)
class WordModel(_Hears):
    """A model with a lexicon and a language model of words; `load_word_model` makes one."""

    model: Model
    decoder: WordDecoder

    @property
    def acoustic(self) -> Model:
        """The model of phones, or letters."""
        return self.model

    def transcribe(
        self, audio: str | Path, *, channel: int | None = None
    ) -> tuple[WordHypothesis, Hypothesis]:
        """Words of one file, and their phones; otherwise as `Model.transcribe`."""
        heard = joined(self.hear(audio, channel=channel))
        return heard.words or WordHypothesis(heard.phones.utterance_id, ()), heard.phones

    def decoded(
        self, utterance_id: str, log_posteriors_TV: Float32Array, kept_K: Int32Array
    ) -> tuple[Hypothesis, WordHypothesis]:
        """Phones and words; otherwise as `Model.decoded`."""
        ((words, phones),) = recognise_words(
            self.decoder,
            {utterance_id: log_posteriors_TV},
            [BLANK, *self.model.inventory],
            stack=self.model.network.stack,
            kept={utterance_id: kept_K},
            timing=timing_of(self.model.upstream),
        )
        return phones, words


def _heard_in_file(model: _Hears, path: Path, channel: int | None) -> Iterator[Heard]:
    """Of a long file that is normalised by itself frames are made twice: memory stays flat."""
    acoustic = model.acoustic
    rate = acoustic.upstream.sample_rate

    def pieces() -> Iterator[Piece]:
        blocks = read_blocks(path, sample_rate=rate, channel=channel)
        return cut_in_pieces(blocks, rate, longest_s=LONGEST_S, around_s=AROUND_S)

    utterance_id = stem_id(path)
    first, *others = islice(pieces(), 2)
    if not others:
        found = acoustic.frames(first.samples_N, acoustic.silence)
        if found is None:
            raise _no_speech(path, len(first.samples_N) / rate)
        of_all = speaker_statistics({utterance_id: found[0]}, {utterance_id: "one"})["one"]
        yield _heard(model, utterance_id, first, found, acoustic.statistics or of_all)
        return
    silence, statistics = SilenceAfterSpeech(acoustic.silence, rate), acoustic.statistics
    if statistics is None:
        heard = (acoustic.frames(piece.samples_N, silence) for piece in pieces())
        spoken = (found[0] for found in heard if found is not None)
        if (some := next(spoken, None)) is None:
            raise _no_speech(path, announced_s(path))
        statistics = streamed_statistics(chain([some], spoken))
    for piece in pieces():
        found = acoustic.frames(piece.samples_N, silence)
        yield _heard(model, utterance_id, piece, found, statistics)


def _no_speech(path: Path, duration_s: Seconds) -> ValueError:
    return ValueError(
        f"{shown(path)}: {duration_s:.3f} s of audio hold no speech to recognise; expected at "
        "least 0.1 s"
    )


def _heard_in_blocks(
    model: _Hears,
    blocks: Iterable[Float32Array],
    utterance_id: str,
    longest_s: Seconds,
    partial_s: Seconds | None,
) -> Iterator[Heard]:
    """What was said so far is all that there is to normalise by, and to know silence by."""
    acoustic = model.acoustic
    rate = acoustic.upstream.sample_rate
    silence, recent = SilenceAfterSpeech(acoustic.silence, rate), RecentFrames()
    for piece in cut_in_pieces(
        blocks, rate, longest_s=longest_s, around_s=AROUND_S, partial_s=partial_s
    ):
        found = acoustic.frames(piece.samples_N, silence if piece.is_final else replace(silence))
        statistics = acoustic.statistics
        if found is not None and statistics is None:
            statistics = recent.statistics_with(found[0])
            if piece.is_final:
                recent.remember(found[0])
        yield _heard(model, utterance_id, piece, found, statistics)


def _heard(
    model: _Hears,
    utterance_id: str,
    piece: Piece,
    found: tuple[Float32Array, Int32Array] | None,
    statistics: SpeakerStatistics | None,
) -> Heard:
    """What was said in a piece; nothing where no frame of it is speech."""
    acoustic = model.acoustic
    rate = acoustic.upstream.sample_rate
    phones, words = Hypothesis(utterance_id, ()), None
    if found is not None:
        assert statistics is not None, "frames have some, of training or their own"
        features = {utterance_id: normalise_speaker(found[0], statistics)}
        log_posteriors_TV = log_posteriors(acoustic.network, features)[utterance_id]
        phones, words = model.decoded(utterance_id, log_posteriors_TV, found[1])
    heard = Heard(phones, words, piece.start / rate, piece.end / rate, piece.is_final)
    return own_part(heard, first_s=piece.first / rate)


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
    path = folder / "model.json"
    _check_there(folder, ["model.json", "inventory.json"])
    try:
        check_written(path)
    except DamagedArtifactError as error:  # it may be edited, to name weights of another machine
        log.warning("%s. If you have not edited it, trust no transcript of it", error)
    options = read_description(path, "decoder", trust=trust)
    digests = digests_of(options, path)
    _check_there(folder, list(digests) or model_files(folder))
    is_finetuned = (folder / FINETUNED).is_dir()
    if not is_finetuned:
        read_description(path, "features", "upstream", trust=trust)
    check_digests(folder, digests)
    inventory = read_inventory(folder / "inventory.json")
    decoder = made(options, "decoder", PhoneDecoder, path, files_in=folder)
    if is_finetuned:
        return _finetuned(folder, decoder, inventory)
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
        network=(
            made(options, "network", WaveNetwork, path, files_in=folder)
            if (folder / PUBLISHED).is_file()
            else load_network(folder)
        ),
        decoder=decoder,
        inventory=inventory,
    )


def _check_there(folder: Path, files: Sequence[str]) -> None:
    if all((folder / name).is_file() for name in files):
        return
    missing = next(name for name in files if not (folder / name).is_file())
    message = f"{folder}: no {missing}; expected a folder with {', '.join(files)}"
    if (folder / "config.json").is_file():
        raise ValueError(
            f"{message}. It is a model of transformers, whose pipeline runs it; here give the "
            "folder that it was exported from, or `unsup-asr import` a published one"
        )
    raise ValueError(f"{message}, such as exp/<recipe>/latest/model after a run")


def _finetuned(folder: Path, decoder: PhoneDecoder, inventory: list[str]) -> Model:
    """A model whose upstream gives posteriors."""
    upstream = FinetunedUpstream(folder / FINETUNED)
    if upstream.dim != len(inventory) + 1:
        raise ValueError(
            f"{folder}: the network of {FINETUNED} has {upstream.dim} outputs, the inventory "
            f"{len(inventory)} phones; expected one output for each and the blank. The files are "
            "of different models"
        )
    return Model(
        upstream=upstream,
        silence=NoSilence(),
        cut_from="frames",
        statistics=neutral_statistics(upstream.dim),
        network=PosteriorsAsHeard(),
        decoder=decoder,
        inventory=inventory,
    )
