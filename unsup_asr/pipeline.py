"""The graph, top to bottom, as one list; only stages marked `reads_references` see references."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from unsup_asr.engine.config import instantiate
from unsup_asr.engine.recipe_files import RecipeError
from unsup_asr.engine.stages import Stage, StageContext
from unsup_asr.protocols import Digests
from unsup_asr.recognise.phones import decoder_files
from unsup_asr.steps.adversarial import run_gan
from unsup_asr.steps.auxiliary import run_auxiliary
from unsup_asr.steps.better_start import run_better_start
from unsup_asr.steps.corpus import run_corpus, run_references
from unsup_asr.steps.ctc import run_self_training, run_supervised
from unsup_asr.steps.diagnose import run_diagnosis
from unsup_asr.steps.evaluate import run_evaluate
from unsup_asr.steps.features import run_features
from unsup_asr.steps.hmm import run_hmm
from unsup_asr.steps.letters import run_letters, run_supervised_letters
from unsup_asr.steps.map_scoring import Table
from unsup_asr.steps.matching import SPOKEN_SEGMENTS, run_choice, run_matching
from unsup_asr.steps.model import run_model
from unsup_asr.steps.realign import run_realign
from unsup_asr.steps.representations import run_representations
from unsup_asr.steps.segment_output import run_segments_lm
from unsup_asr.steps.spoken import run_spoken_model, run_spoken_text
from unsup_asr.steps.spoken_segments import run_spoken_segments
from unsup_asr.steps.superb import run_superb
from unsup_asr.steps.text import run_language_model, run_text, run_word_model
from unsup_asr.steps.units import run_segments, run_units, run_units_heard
from unsup_asr.steps.upstream_features import run_upstream_features
from unsup_asr.steps.words import run_lexicon, run_supervised_words, run_train_words, run_words

SUPERVISED = ("supervised", "superb")  # these learn from references, and go only into `evaluate`
SUPERVISED_ON_WORDS = ("supervised_letters",)
SPOKEN_MODEL = "spoken_model"
SCORER = "language_model.scorer"  # of the unsupervised criterion
_TRAINING = ("self_training.training", "self_training.decoder", SCORER)
_BALANCE = "self_training.balance"
_TUNED = "self_training.training.upstream"  # where the model of self-training is fine-tuned
_UPSTREAM_FEATURES = tuple(
    f"features.{name}"
    for name in ("upstream", "boundary_upstream", "layer", "silence", "cut_from", "projection")
)
_SEGMENTS = tuple(
    f"segmentation.{name}" for name in ("segmenter", "segments_per_phone", "adjacent_pooling")
)
_UNITS = tuple(f"segmentation.{name}" for name in ("pooling", "adjacent_pooling", "clusterer"))
_GAME = tuple(
    f"gan.{name}"
    for name in (
        *("start", "frames", "text_silence", "trainer", "population", "validate_on"),
        *("decode_stride", "decode_unjoined"),
    )
)
_AUXILIARY = ("gan.auxiliary_upstream", "gan.auxiliary_clusterer")
_SPOKEN = ("features", "text", "language_model")
_SYSTEMS = ("matching", "gan", "realign_", "hmm_", "spoken_model", "self_training_", *SUPERVISED)
_OF_SEGMENTS = ("matching", "gan")


def build_graph(config: DictConfig) -> list[Stage]:
    """All stages of a recipe, inputs before what needs them."""
    _check_rounds(config)
    _check_channel(config)
    _check_game(config)
    _check_units(config)
    stages = [
        Stage(
            "corpus",
            run_corpus,
            config_keys=("corpus",),
            hidden=tuple(f"corpus.{name}" for name in _reference_options(config)),
            external_files=_user_files,
            external_digests=_user_digests,
            version=4,
        ),
        Stage("text", run_text, ("corpus",), ("text",), external_files=_text_files, version=3),
        Stage(
            "language_model",
            run_language_model,
            ("text",),
            ("language_model.estimator",),
            version=2,
        ),
        *_features(config),
    ]
    decoder = config.self_training.decoder
    if "words.arpa" in decoder_files(decoder):
        word_model = ("word_model",)
        keys = ("language_model.word_estimator",)
        stages.append(Stage("word_model", run_word_model, ("text",), keys))
    else:
        word_model = ()
    learned_from = (*_SPOKEN, *word_model)
    extra, kept = (), ()
    if speaks(config):
        stages += _from_spoken_text(config, learned_from)
        if not _finetunes(config):  # which hears recordings, and of that text frames are kept
            extra, kept = ("spoken_text",), ("start.num_kept",)
    hears = ("corpus",) if _finetunes(config) else ()
    tuned = (_TUNED,) if _finetunes(config) else ()
    training = ("self_training.training",) if _finetunes(config) else ()  # the model says how
    if config.start.road != "spoken_text":
        stages += _from_segments(config)
    if config.start.road == "joined":
        stages.append(_better_start(stages[-1].name))
    labels_from = stages[-1].name
    rounds: list[str] = []
    for number in range(1, config.self_training.num_rounds + 1):
        name = f"self_training_{number}"
        changed = ("self_training.first_round",) if number == 1 else ()
        stages.append(
            Stage(
                name,
                partial(run_self_training, labels_from=labels_from, number=number),
                (labels_from, *learned_from, *extra, *hears),
                (*_TRAINING, _BALANCE, *changed, *kept),
                version=3,
                resumable=True,
                upstreams=tuned,
            )
        )
        rounds.append(name)
        labels_from = name
    stages.append(
        Stage(
            "model",
            partial(run_model, candidates=tuple(rounds)),
            (*rounds, *learned_from),
            ("features", "self_training.decoder", *training),
            version=5,
        )
    )
    words: tuple[str, ...] = ()
    if config.words.decoder is not None:
        words = ("words",)
        decoding = ("words.decoder", "words.tuning")
        stages.append(Stage("lexicon", run_lexicon, ("text",), ("words.estimator",)))
        inputs = ("model", "features", "text", "lexicon", *hears)
        stages.append(Stage("words", run_words, inputs, decoding, version=3, resumable=True))
    if _writes_letters(config):
        words += ("letters",)
        inputs = ("words", "features", "text", "corpus")
        stages.append(Stage("train_words", run_train_words, inputs, (), resumable=True))
        stages.append(_letters("letters", run_letters, ("train_words",)))
    systems = [stage.name for stage in stages if stage.name.startswith(_SYSTEMS)]
    stages.append(_diagnosis(stages, systems))
    tables = [_table(stage) for stage in stages if stage.name.startswith("matching")]
    with_lm = [_decoded_segments(stage) for stage in stages if stage.name.startswith(_OF_SEGMENTS)]
    stages += with_lm
    if not has_references(config):
        return stages
    stages.append(
        Stage(
            "references",
            run_references,
            ("corpus",),
            ("corpus",),
            external_files=_reference_file,
            external_digests=_reference_digests,
            reads_references=True,
        )
    )
    stages.append(
        Stage(
            "supervised",
            run_supervised,
            ("references", *learned_from, *hears),
            (*_TRAINING, "text"),
            version=2,
            resumable=True,
            reads_references=True,
            upstreams=tuned,
        )
    )
    if config.superb.training is not None:
        stages.append(
            Stage(
                "superb",
                run_superb,
                ("references", "text", _layers(config)),
                ("superb", "text"),
                version=2,
                reads_references=True,
            )
        )
    systems += [name for name in SUPERVISED if name in {stage.name for stage in stages}]
    if words:
        stages.append(
            Stage(
                "supervised_words",
                run_supervised_words,
                ("supervised", "features", "text", "lexicon", *hears),
                ("words.decoder", "words.tuning"),
                version=2,
                resumable=True,
                reads_references=True,
            )
        )
        words += ("supervised_words",)
    if _writes_letters(config):
        words += ("supervised_letters",)
        stages.append(
            _letters("supervised_letters", run_supervised_letters, ("references",), ("text",))
        )
    given = {stage.name for stage in stages}
    stages.append(
        Stage(
            "evaluate",
            partial(run_evaluate, systems=tuple(systems), tables=tuple(tables)),
            (
                *("corpus", "references", "features", "text"),
                *sorted({"segments", "choice", *(table.units for table in tables)} & given),
                *("model", "diagnosis", *systems, *(stage.name for stage in with_lm), *words),
            ),
            ("text", "recipe"),
            version=5,
            reads_references=True,
        )
    )
    return stages


def _letters(
    name: str,
    run: Callable[[StageContext], None],
    learned_from: tuple[str, ...],
    keys: tuple[str, ...] = (),
) -> Stage:
    """An upstream fine-tuned on letters of words."""
    return Stage(
        name,
        run,
        (*learned_from, "text", "lexicon", "corpus"),
        ("self_training.training", "self_training.letters", *keys),
        resumable=True,
        reads_references=name in SUPERVISED_ON_WORDS,
        upstreams=(_TUNED,),
    )


def _decoded_segments(system: Stage) -> Stage:
    """Segments of matching or the game decoded with the phone language model: a row of the report.

    The boundaries are those that the system itself was made on.
    """
    segments = _read_as(system, "segments")
    return Stage(
        f"{system.name}_lm",
        partial(run_segments_lm, system=system.name),
        (system.name, "features", segments, "text", "language_model"),
        ("language_model.segment_decoder", "language_model.posterior_floor"),
        stands_for={segments: "segments"},
    )


def _read_as(system: Stage, name: str) -> str:
    """The input that a stage reads under this name."""
    return next((i for i, read_as in system.stands_for.items() if read_as == name), name)


def _table(matching: Stage) -> Table:
    """What is between a matching's table and the audio."""
    units = next(name for name in matching.inputs if name.startswith("units"))
    return Table(matching.name, _read_as(matching, "segments"), units)


def _diagnosis(stages: Sequence[Stage], systems: Sequence[str]) -> Stage:
    """Why the run may have failed, by signs that need no references."""
    given = [stage.name for stage in stages]
    realigned = [name for name in systems if name.startswith(("realign_", "hmm_"))][-1:]
    segments_of = {
        stage.name: _read_as(stage, "segments")
        for stage in stages
        if stage.name.startswith(_OF_SEGMENTS)
    }
    heard = [name for name in ("segments", "choice") if name in given]
    return Stage(
        "diagnosis",
        partial(
            run_diagnosis,
            realigned=tuple(realigned),
            systems=tuple(systems),
            segments_of=segments_of,
        ),
        ("text", "language_model", "features", *heard, *systems, "model"),
        ("gan.diagnosis", SCORER),
        version=4,
    )


def uses_representations(config: DictConfig) -> bool:
    """Whether the recipe reads a layer of an upstream that `representations` keeps on disk."""
    return "layer" in config.features


def _finetunes(config: DictConfig) -> bool:
    """Whether self-training fine-tunes an upstream on recordings, and reads no features."""
    return OmegaConf.select(config, _TUNED) is not None


def _writes_letters(config: DictConfig) -> bool:
    """Whether a model of letters is fine-tuned besides that of phones."""
    return config.self_training.get("units", "phones") == "letters"


def _layers(config: DictConfig) -> str:
    """The stage whose layers the SUPERB recipe weighs."""
    return "representations" if uses_representations(config) else "features"


def _features(config: DictConfig) -> list[Stage]:
    """MFCC, or one of the layers that an upstream gives in one pass over the audio."""
    read = ("features.upstream", "features.boundary_upstream")
    if not uses_representations(config):
        keys = ("features",)
        return [Stage("features", run_features, ("corpus",), keys, version=2, upstreams=read)]
    cut = ("features.silence", "features.cut_from") if config.features.cut_from == "audio" else ()
    return [
        Stage(
            "representations",
            run_representations,
            ("corpus",),
            ("features.upstream", "features.layers", "features.runtime", *cut),
            resumable=True,
            upstreams=("features.upstream",),
        ),
        Stage(
            "features",
            run_upstream_features,
            ("corpus", "representations"),
            _UPSTREAM_FEATURES,
            upstreams=read,
        ),
    ]


def _from_segments(config: DictConfig) -> list[Stage]:
    """Segments named by the game, or the better of it and matching, and what corrects that."""
    stages = [
        Stage("segments", run_segments, ("features", "text"), _SEGMENTS, version=2),
        *_channel(config),
        *_auxiliary(config),
        *_named(config, "segments", ""),
    ]
    if "num_iterations" in config.realign:
        return stages + _hmm_loop(config)
    labels_from = stages[-1].name
    for number in range(1, config.realign.num_rounds + 1):
        name = f"realign_{number}"
        stages.append(
            Stage(
                name,
                partial(run_realign, labels_from=labels_from),
                (labels_from, "corpus", *_SPOKEN),
                (
                    *("realign.training", "realign.aligner", "realign.prior_scale"),
                    *("realign.pauses", "features.silence", SCORER),
                ),
                version=3,
                resumable=True,
            )
        )
        labels_from = name
    return stages


def _channel(config: DictConfig) -> list[Stage]:
    """The text, spoken and cut, where matching is to know what the segmenter makes of it."""
    if "channel" not in config.matching or not matches(config):
        return []
    return [
        Stage(
            SPOKEN_SEGMENTS,
            run_spoken_segments,
            ("text",),
            (
                *("matching.spoken_text", "features.boundary_upstream", "features.silence"),
                *("segmentation.segmenter", "segmentation.segments_per_phone"),
            ),
            upstreams=("features.boundary_upstream",),
        )
    ]


def matches(config: DictConfig) -> bool:
    """Whether segments are matched with text before the game, which then begins from that."""
    return config.start.road in ("matching", "joined")


def speaks(config: DictConfig) -> bool:
    """Whether a model of the text, spoken, says what the recordings sound like at first."""
    return config.start.road in ("spoken_text", "joined")


def _hears(config: DictConfig) -> tuple[str, ...]:
    """The stage whose network says what segments sound like, where matching starts from that."""
    return (SPOKEN_MODEL,) if config.start.road == "joined" else ()


def _auxiliary(config: DictConfig) -> list[Stage]:
    """Classes of frames that the game's generator is to predict, where it is to."""
    if config.gan.auxiliary_clusterer is None:
        return []
    read = () if config.gan.auxiliary_upstream is None else ("gan.auxiliary_upstream",)
    inputs = ("corpus", "features") if read else ("features",)
    return [Stage("auxiliary", run_auxiliary, inputs, _AUXILIARY, upstreams=read)]


def _game_keys(config: DictConfig) -> tuple[str, ...]:
    pooled = ("segmentation.pooling",) if config.gan.get("decode_unjoined") else ()
    return (*_GAME, SCORER, *pooled)


def _named(config: DictConfig, segments: str, suffix: str) -> list[Stage]:
    """A stage's segments pooled, and named: the last of the stages has their phones."""
    units, gan = f"units{suffix}", f"gan{suffix}"
    read_as = {segments: "segments", units: "units", gan: "gan"}
    pooled = Stage(units, run_units, ("features", segments), _UNITS, stands_for=read_as)
    if hears := _hears(config):
        pooled = Stage(
            units,
            partial(run_units_heard, network_from=SPOKEN_MODEL),
            ("features", segments, "text", *hears),
            (*_UNITS, "start.evidence_weight"),
            stands_for=read_as,
        )
    auxiliary = tuple(stage.name for stage in _auxiliary(config))
    if matches(config):
        return [pooled, *_matched_and_played(config, segments, suffix, auxiliary)]
    is_pooled = config.segmentation.pooling is not None
    inputs = (segments, units) if is_pooled else (segments,)
    game = Stage(
        gan,
        run_gan,
        ("features", *inputs, *auxiliary, "text", "language_model"),
        _game_keys(config),
        version=3,
        resumable=True,
        stands_for=read_as,
    )
    return [pooled, game] if is_pooled else [game]


def _matched_and_played(
    config: DictConfig, segments: str, suffix: str, auxiliary: tuple[str, ...]
) -> list[Stage]:
    """Units matched with text, and a game; the better of the two goes on."""
    units, matching, gan = (f"{name}{suffix}" for name in ("units", "matching", "gan"))
    read_as = {segments: "segments", units: "units", matching: "matching", gan: "gan"}
    heard = tuple(stage.name for stage in _channel(config)) if segments == "segments" else ()
    hears = _hears(config)
    matched = ("features", segments, units, "text", "language_model", *heard, *hears)
    return [
        Stage(
            matching,
            partial(run_matching, heard_by=next(iter(hears), None)),
            matched,
            (*_matching_keys(config), SCORER),
            version=3,
            stands_for=read_as,
        ),
        Stage(
            gan,
            run_gan,
            ("features", segments, units, matching, *auxiliary, "text", "language_model"),
            _game_keys(config),
            version=3,
            resumable=True,
            stands_for=read_as,
        ),
        Stage(
            f"choice{suffix}",
            run_choice,
            (matching, gan, segments),
            version=2,
            stands_for=read_as,
        ),
    ]


def _hmm_loop(config: DictConfig) -> list[Stage]:
    """An HMM of what the game has named, a game on the HMM's boundaries, and so on."""
    stages: list[Stage] = []
    for number in range(1, config.realign.num_iterations + 1):
        suffix = "" if number == 1 else f"_{number}"
        if number > 1:
            stages += _named(config, f"hmm_{number - 1}", suffix)
        named = f"{'choice' if matches(config) else 'gan'}{suffix}"
        stages.append(
            Stage(
                f"hmm_{number}",
                run_hmm,
                (named, *_SPOKEN),
                (
                    *("realign.training", "realign.aligner", "realign.stack"),
                    *("realign.num_rounds", SCORER),
                ),
                version=2,
                stands_for={named: "choice"},
            )
        )
    return stages


def _from_spoken_text(config: DictConfig, learned_from: tuple[str, ...]) -> list[Stage]:
    """The text, spoken; a model of it."""
    layer = ("features.layer", "features.cut_from") if uses_representations(config) else ()
    return [
        Stage(
            "spoken_text",
            run_spoken_text,
            ("text", *(("features",) if uses_representations(config) else ())),
            ("start.spoken_text", "features.upstream", "features.silence", *layer),
            upstreams=("features.upstream",),
        ),
        Stage(
            SPOKEN_MODEL,
            run_spoken_model,
            ("spoken_text", *learned_from),
            ("start.training", "self_training.decoder", SCORER),
            version=2,
            resumable=True,
        ),
    ]


def _matching_keys(config: DictConfig) -> tuple[str, ...]:
    joined = ("start.matcher", "start.agreement") if config.start.road == "joined" else ()
    return ("matching", *joined)


def _better_start(corrected: str) -> Stage:
    """What the spoken model wrote, or what all that follows matching has made of it."""
    return Stage(
        "better_start",
        partial(run_better_start, heard=SPOKEN_MODEL, corrected=corrected),
        ("text", SPOKEN_MODEL, corrected),
        ("start.max_divergence_ratio",),
    )


def _check_rounds(config: DictConfig) -> None:
    """RecipeError for numbers of rounds that leave nothing to go on with."""
    if config.self_training.num_rounds < 1:
        raise RecipeError(
            f"self_training.num_rounds is {config.self_training.num_rounds}; expected at least 1: "
            "the model that is kept is that of a round. To see what comes before it, use --until"
        )
    if config.realign.num_rounds < (1 if "num_iterations" in config.realign else 0):
        raise RecipeError(
            f"realign.num_rounds is {config.realign.num_rounds}; expected at least one round of "
            "training and decoding in each HMM stage (realign.num_iterations=0 for none), or 0 and "
            "more rounds with realign=lexicon"
        )
    if config.realign.get("num_iterations", 0) < 0:
        raise RecipeError(
            f"realign.num_iterations is {config.realign.num_iterations}; expected 0 or more"
        )


def _check_channel(config: DictConfig) -> None:
    """RecipeError where the spoken text would not be cut as the recordings are."""
    if (
        matches(config)
        and "channel" in config.matching
        and (uses_representations(config) or "adjacent_pooling" in config.segmentation)
    ):
        raise RecipeError(
            "matching=spoken_channel cuts the spoken text by features.boundary_upstream and "
            "segmentation.segmenter alone, but this recipe's segments are made of layers of an "
            "upstream, or joined to neighbours: use matching=skip_bigrams, or features=mfcc and "
            "segmentation=peaks"
        )


def _check_game(config: DictConfig) -> None:
    """RecipeError where the game cannot begin from what the road leads to, or read its segments."""
    options = config.segmentation
    if config.start.road == "game" and config.gan.start is not None:
        raise RecipeError(
            "start=game plays without matching, and gan.start begins from what matching has found: "
            "set gan.start to null, or choose gan=w2vu, w2vu2 or w2vu_cpu"
        )
    if matches(config) and options.clusterer is None:
        raise RecipeError(
            "segmentation.clusterer is null, and matching names clusters: give one, or start=game"
        )
    if options.pooling is None and options.get("adjacent_pooling") is not None:
        raise RecipeError(
            "segmentation.pooling is null, and segmentation.adjacent_pooling joins pooled "
            "segments: set both, or neither"
        )
    if options.pooling is None and config.realign.get("num_iterations", 0) > 1:
        raise RecipeError(
            "segmentation.pooling is null, and realign=hmm plays its later games on segments of "
            "several frames: give a pooling, or realign.num_iterations=1"
        )


def _check_units(config: DictConfig) -> None:
    """RecipeError where letters are to be learned of words that are not decoded."""
    units = config.self_training.get("units", "phones")
    if units not in ("phones", "letters"):
        raise RecipeError(f"self_training.units is {units!r}; expected phones or letters")
    if units == "letters" and config.words.decoder is None:
        raise RecipeError(
            "self_training.units is letters, and words=none: letters are those of the words that "
            "the phones are decoded into; use words=lexicon, or units=phones"
        )


def has_references(config: DictConfig) -> bool:
    """Whether the corpus has references: a folder of the user's may have none."""
    return config.corpus.get("references", True) not in (None, False)


def _reference_options(config: DictConfig) -> tuple[str, ...]:
    """Options of the corpus that say what was said: nothing unsupervised sees them."""
    return tuple(getattr(instantiate(config.corpus), "reference_options", ("references",)))


def _user_files(config: DictConfig) -> list[Path]:
    """Files that the user gave, whose content decides what is heard and read.

    A corpus names them itself (`source_files`), or has options that are called as they are here.
    """
    source_files = getattr(instantiate(config.corpus), "source_files", None)
    if source_files is not None:
        return list(source_files())
    names = [config.corpus.get(key) for key in ("audio", "text", "text_path")]
    return [Path(name) for name in names if name]


def _text_files(config: DictConfig) -> list[Path]:
    """Files of the front end, such as a dictionary, whose content decides the text's phones."""
    front_end = instantiate(config.text.front_end)
    return list(front_end.source_files()) if hasattr(front_end, "source_files") else []


def _user_digests(config: DictConfig, digests: Digests) -> Mapping[str, str]:
    """Of files of which only a part decides that: such as a table with transcripts in it."""
    corpus = instantiate(config.corpus)
    return corpus.source_digests(digests) if hasattr(corpus, "source_digests") else {}


def _reference_file(config: DictConfig) -> list[Path]:
    """The table of references that a user gave, by its name."""
    files = _reference_files(config)
    return files if len(files) == 1 else []


def _reference_digests(config: DictConfig, digests: Digests) -> Mapping[str, str]:
    """Transcripts that lie beside the recordings, all together."""
    files = _reference_files(config)
    return {"transcripts": digests.digest_all(files)} if len(files) > 1 else {}


def _reference_files(config: DictConfig) -> list[Path]:
    """Files whose content decides what was said."""
    corpus = instantiate(config.corpus)
    return list(corpus.reference_files()) if hasattr(corpus, "reference_files") else []
