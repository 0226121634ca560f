"""A changed option runs again exactly what depends on it: over the real graphs."""

from __future__ import annotations

import pytest

from tests.stage_table import CHANGES, PAGE, page, stages_again

# The ends of a run, from ...
SCORED = ["evaluate"]
WORDS = ["words", "diagnosis"]
MODEL = ["model", *WORDS]
ROUNDS = ["self_training_1", "self_training_2", *MODEL]
REALIGNED = ["realign_2", *ROUNDS]
CHOSEN = ["choice", "realign_1", *REALIGNED]
LM_ROWS = ["matching_lm", "gan_lm"]
HEARD = ["matching", "gan", *CHOSEN, "better_start", *LM_ROWS]

TUNED = ["self_training_1", *MODEL]
LETTERS = ["train_words", "letters"]
SUPERVISED = ["supervised", "supervised_words"]

PLAYED = ["gan", "gan_lm", "realign_1", *REALIGNED]  # where no matching is

# What reads the text of TIMIT, which is phones: no words.
TIMIT_TEXT = [
    *("text", "language_model", "segments", "units", "matching", "gan", "choice", "realign_1"),
    *("realign_2", "self_training_1", "self_training_2", "model"),
    *("diagnosis", *LM_ROWS, "supervised", *SCORED),
]

EXPECTED: dict[tuple[str, str], list[str]] = {
    ("demo", "realign.num_rounds=3"): ["realign_3", *ROUNDS, *SCORED],
    ("demo", "realign.num_rounds=0"): [*ROUNDS, *SCORED],
    ("demo", "self_training.num_rounds=3"): ["self_training_3", *MODEL, *SCORED],
    ("demo", "self_training.first_round.epochs=3"): [*ROUNDS, *SCORED],
    ("demo", "self_training.training.epochs=3"): [
        *ROUNDS,
        "supervised",
        "supervised_words",
        *SCORED,
    ],
    ("demo", "segmentation.segments_per_phone=1.2"): [
        *("segments", "spoken_segments", "units", "matching", "gan"),
        *(*CHOSEN, *LM_ROWS, *SCORED),
    ],
    ("demo", "segmentation.clusterer.num_clusters=64"): [
        *("units", "matching", "gan", *CHOSEN, *LM_ROWS, *SCORED)
    ],
    ("demo", "matching.channel.trust=2.0"): ["matching", "gan", *CHOSEN, *LM_ROWS, *SCORED],
    ("demo", "matching.spoken_text.num_voices=10"): [
        *("spoken_segments", "matching", "gan", *CHOSEN, *LM_ROWS, *SCORED)
    ],
    ("demo", "gan.trainer.updates=100"): ["gan", *CHOSEN, "gan_lm", *SCORED],
    ("demo", "gan.diagnosis.min_usage=0.5"): ["diagnosis", *SCORED],
    ("demo", "self_training.training.max_warp=1.1"): [
        *ROUNDS,
        "supervised",
        "supervised_words",
        *SCORED,
    ],
    ("demo", "language_model.estimator.order=3"): [
        *("language_model", "matching", "gan", *CHOSEN, *LM_ROWS),
        *("supervised", "supervised_words", *SCORED),
    ],
    ("demo", "language_model.word_estimator.order=3"): [],
    ("demo", "language_model.segment_decoder.beam=5"): [*LM_ROWS, *SCORED],
    ("demo", "language_model.posterior_floor=0.1"): [*LM_ROWS, *SCORED],
    ("demo", "words.estimator.order=2"): ["lexicon", "words", "supervised_words", *SCORED],
    ("demo", "words.decoder.beam=30"): ["words", "supervised_words", *SCORED],
    ("demo", "words.tuning=null"): ["words", "supervised_words", *SCORED],
    ("demo", "text.front_end.min_phone_count=5"): [
        *(
            "text",
            "language_model",
            "segments",
            "spoken_segments",
            "units",
            "matching",
            "gan",
            "choice",
            "realign_1",
        ),
        *("realign_2", "self_training_1", "self_training_2", "model"),
        *("lexicon", *WORDS, *LM_ROWS, "supervised", "supervised_words", *SCORED),
    ],
    ("demo", "superb=phoneme_recognition"): ["superb", *SCORED],
    ("demo", "runtime.num_threads=1"): [],
    ("demo", "runtime.sum_threads=2"): [],
    ("demo", "runtime.processes=2"): [],
    ("recordings", "corpus.references=other.tsv"): [
        *("references", "supervised", "supervised_words", *SCORED)
    ],
    ("recordings", "corpus.reference_kind=phones"): [
        *("references", "supervised", "supervised_words", *SCORED)
    ],
    ("recordings", "corpus.references=null"): [],
    ("recordings", "corpus.audio=elsewhere"): [
        *("corpus", "text", "language_model", "features", "spoken_text", "spoken_model"),
        *("segments", "spoken_segments", "units", *HEARD, "lexicon"),
        *("references", "supervised", "supervised_words", *SCORED),
    ],
    ("recordings", "start.num_kept=10"): [*ROUNDS, *SCORED],
    ("recordings", "start.training.epochs=3"): ["spoken_model", "units", *HEARD, *SCORED],
    ("recordings", "start.spoken_text.num_voices=10"): [
        *("spoken_text", "spoken_model", "units", *HEARD, *SCORED)
    ],
    ("recordings", "features.delta_weights=[1.0, 0.5, 0.5]"): [
        *("features", "spoken_model", "segments", "units", *HEARD),
        *("supervised", "supervised_words", *SCORED),
    ],
    ("spoken text alone", "start.training.epochs=3"): ["spoken_model", *ROUNDS],
    ("unscored recordings", "gan.diagnosis.min_usage=0.5"): ["diagnosis"],
    ("unscored recordings", "corpus.allow_unreferenced=true"): [],
    ("game and HMM", "realign.num_iterations=3"): [
        *("units_3", "matching_3", "gan_3", "choice_3", "hmm_3", *ROUNDS),
        *("matching_3_lm", "gan_3_lm", *SCORED),
    ],
    ("game and HMM", "realign.num_rounds=2"): [
        *("hmm_1", "units_2", "matching_2", "gan_2", "choice_2", "hmm_2", *ROUNDS),
        *("matching_2_lm", "gan_2_lm", *SCORED),
    ],
    ("text as it is written", "matching.duplicate_text=false"): [
        *("matching", "gan", *CHOSEN, *LM_ROWS, *SCORED)
    ],
    ("text as it is written", "segmentation.segments_per_phone=1.2"): [
        *("segments", "units", "matching", "gan", *CHOSEN, *LM_ROWS, *SCORED)
    ],
    ("both roads joined", "start.evidence_weight=1.0"): ["units", *HEARD],
    ("both roads joined", "start.agreement=0.0"): HEARD,
    ("both roads joined", "start.matcher.anchor=1.0"): HEARD,
    ("both roads joined", "start.max_divergence_ratio=0.3"): ["better_start", *ROUNDS],
    ("both roads joined", "start.training.epochs=3"): ["spoken_model", "units", *HEARD],
    ("both roads joined", "matching.channel.num_contexts=2"): HEARD,
    ("both roads joined", "self_training.decoder.insertion_score=2.0"): [
        *("spoken_model", "units", *HEARD)
    ],
    ("words in self-training", "language_model.word_estimator.order=3"): [
        *("word_model", *ROUNDS, "supervised", "supervised_words", *SCORED)
    ],
    ("a layer of an upstream", "features.layer=1"): [
        *("representations", "features", "segments", "units", "matching", "gan", *CHOSEN),
        *(*LM_ROWS, "supervised", "supervised_words", *SCORED),
    ],
    ("a layer of an upstream", "features.runtime.batch_seconds=10.0"): [],
    ("a layer of an upstream", "features.projection.num_components=8"): [
        *("features", "segments", "units", "matching", "gan", *CHOSEN),
        *(*LM_ROWS, "supervised", "supervised_words", *SCORED),
    ],
    ("wav2vec-U", "features.layers=all"): [
        *("representations", "features", "segments", "units", "matching", "gan", *CHOSEN),
        *(*LM_ROWS, "supervised", "supervised_words", *SCORED),
    ],
    ("wav2vec-U", "features.silence.keep_frames=3"): [
        *("features", "segments", "units", "matching", "gan", *CHOSEN),
        *(*LM_ROWS, "supervised", "supervised_words", *SCORED),
    ],
    ("wav2vec-U", "segmentation.segmenter.kmeans.num_clusters=64"): [
        *("segments", "units", "matching", "gan", *CHOSEN, *LM_ROWS, *SCORED)
    ],
    ("wav2vec-U", "segmentation.adjacent_pooling=null"): [
        *("segments", "units", "matching", "gan", *CHOSEN, *LM_ROWS, *SCORED)
    ],
    ("wav2vec-U", "gan.population.num_seeds=2"): [*("gan", *CHOSEN, "gan_lm", *SCORED)],
    ("the game alone", "features.silence.keep_frames=1"): [
        *("representations", "features", "segments", "auxiliary", *PLAYED),
        *("supervised", "supervised_words", *SCORED),
    ],
    ("the game alone", "gan.text_silence={_target_: lm.silence.SilenceInText}"): [
        *PLAYED,
        *SCORED,
    ],
    ("the game alone", "gan.auxiliary_clusterer.niter=20"): ["auxiliary", *PLAYED, *SCORED],
    ("the game alone", "gan.decode_stride=null"): [*PLAYED, *SCORED],
    ("the game alone", "realign.num_rounds=1"): [*ROUNDS, *SCORED],
    ("fine-tuned", "self_training.training.updates=100"): [*TUNED, *SUPERVISED, *SCORED],
    ("fine-tuned", "self_training.decoder.lm_weight=0.2"): [*TUNED, *SUPERVISED, *SCORED],
    ("fine-tuned", "features.delta_weights=[1.0, 0.5, 0.5]"): [
        *("features", "segments", "units", "matching", "gan", "choice", *TUNED),
        *("matching_lm", "gan_lm", *SUPERVISED, *SCORED),
    ],
    ("a model of letters", "self_training.training.updates=100"): [
        *(*TUNED, *LETTERS, *SUPERVISED, "supervised_letters", *SCORED)
    ],
    ("a model of letters", "self_training.letters.word_decoder.boundary=/"): [
        *("letters", "supervised_letters", *SCORED)
    ],
    ("a model of letters", "words.decoder.beam=30"): [
        *("words", *LETTERS, "supervised_words", *SCORED)
    ],
    ("TIMIT", "corpus.references=false"): [],
    ("TIMIT", "corpus.setup=unmatched"): [*("corpus", "features", "references", *TIMIT_TEXT)],
    ("TIMIT", "text.front_end.min_phone_count=2"): TIMIT_TEXT,
    ("TIMIT", "realign.num_rounds=3"): [
        *("realign_3", "self_training_1", "self_training_2", "model", "diagnosis", *SCORED)
    ],
}


@pytest.mark.parametrize(
    ("setup", "option"), [(setup, option) for setup in CHANGES for option in CHANGES[setup]]
)
def test_an_option_runs_again_exactly_what_depends_on_it(setup: str, option: str) -> None:
    assert set(stages_again(setup, option)) == set(EXPECTED[setup, option])


def test_the_page_of_stages_is_what_the_graph_says() -> None:
    assert PAGE.read_text("utf-8") == page(), "write it anew: python -m tests.stage_table"
