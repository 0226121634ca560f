"""Which stages a changed option runs again, read off the graph.

`python -m tests.stage_table` writes docs/stages.md.
"""

from __future__ import annotations

import tempfile
from contextlib import chdir
from functools import cache
from pathlib import Path

from tests.unsup_asr.fake_timit import write_timit
from unsup_asr.engine.keys import stage_keys
from unsup_asr.engine.recipe import load_recipe
from unsup_asr.pipeline import build_graph

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "stages.md"

_FEW_ROUNDS = ("realign.num_rounds=2", "self_training.num_rounds=2")
_FOLDER = ("folder", "corpus.audio=audio", "corpus.text=text.txt")
# What is run, by name: the recipe and its options.
SETUPS: dict[str, tuple[str, ...]] = {
    "demo": ("demo", *_FEW_ROUNDS),
    "recordings": (*_FOLDER, "corpus.references=said.tsv", *_FEW_ROUNDS),
    "unscored recordings": (*_FOLDER, *_FEW_ROUNDS),
    "spoken text alone": (*_FOLDER, "start=spoken_text", "self_training.num_rounds=2"),
    "game and HMM": (
        *("demo", "realign=hmm", "realign.num_iterations=2"),
        "self_training.num_rounds=2",
    ),
    "text as it is written": ("demo", *_FEW_ROUNDS, "matching=skip_bigrams"),
    "both roads joined": (*_FOLDER, *_FEW_ROUNDS),
    "words in self-training": ("demo", *_FEW_ROUNDS, "self_training=words"),
    "a layer of an upstream": (
        *(
            "demo",
            *_FEW_ROUNDS,
            "matching=skip_bigrams",
            "features=self_supervised",
            "features.layer=0",
        ),
        "features.upstream={_target_: unsup_asr.upstreams.kaldi_features.KaldiMFCC}",
    ),
    "wav2vec-U": (
        *("demo", *_FEW_ROUNDS, "matching=skip_bigrams"),
        *("features=wav2vecu", "segmentation=wav2vecu", "gan=w2vu"),
        *("features.layer=0", "features.projection.num_components=13", "~features.upstream.model"),
        "features.upstream._target_=unsup_asr.upstreams.kaldi_features.KaldiMFCC",
    ),
    "the game alone": (
        *("demo", *_FEW_ROUNDS, "features=wav2vecu", "segmentation=frames", "gan=w2vu2"),
        *("start=game", "features.cut_from=audio", "features.projection=null"),
        *("features.layer=0", "~features.upstream.model"),
        "features.upstream._target_=unsup_asr.upstreams.kaldi_features.KaldiMFCC",
    ),
    "fine-tuned": (
        *("demo", "realign.num_rounds=0", "self_training=finetune"),
        "self_training.training.upstream={_target_: unsup_asr.upstreams.kaldi_features.KaldiMFCC}",
    ),
    "a model of letters": (
        *("demo", "realign.num_rounds=0", "self_training=finetune", "self_training.units=letters"),
        "self_training.training.upstream={_target_: unsup_asr.upstreams.kaldi_features.KaldiMFCC}",
    ),
    "TIMIT": ("timit", "corpus.root=TIMIT", "corpus.allow_incomplete=true", *_FEW_ROUNDS),
}
# For each setup, options to change.
CHANGES: dict[str, tuple[str, ...]] = {
    "demo": (
        "realign.num_rounds=3",
        "realign.num_rounds=0",
        "self_training.num_rounds=3",
        "self_training.first_round.epochs=3",
        "self_training.training.epochs=3",
        "segmentation.segments_per_phone=1.2",
        "segmentation.clusterer.num_clusters=64",
        "matching.channel.trust=2.0",
        "matching.spoken_text.num_voices=10",
        "gan.trainer.updates=100",
        "gan.diagnosis.min_usage=0.5",
        "self_training.training.max_warp=1.1",
        "language_model.estimator.order=3",
        "language_model.word_estimator.order=3",
        "language_model.segment_decoder.beam=5",
        "language_model.posterior_floor=0.1",
        "words.estimator.order=2",
        "words.decoder.beam=30",
        "words.tuning=null",
        "text.front_end.min_phone_count=5",
        "superb=phoneme_recognition",
        "runtime.num_threads=1",
        "runtime.sum_threads=2",
        "runtime.processes=2",
    ),
    "recordings": (
        "corpus.references=other.tsv",
        "corpus.reference_kind=phones",
        "corpus.references=null",
        "corpus.audio=elsewhere",
        "start.num_kept=10",
        "start.training.epochs=3",
        "start.spoken_text.num_voices=10",
        "features.delta_weights=[1.0, 0.5, 0.5]",
    ),
    "unscored recordings": ("gan.diagnosis.min_usage=0.5", "corpus.allow_unreferenced=true"),
    "spoken text alone": ("start.training.epochs=3",),
    "game and HMM": ("realign.num_iterations=3", "realign.num_rounds=2"),
    "text as it is written": (
        "matching.duplicate_text=false",
        "segmentation.segments_per_phone=1.2",
    ),
    "both roads joined": (
        "start.evidence_weight=1.0",
        "start.agreement=0.0",
        "start.matcher.anchor=1.0",
        "start.max_divergence_ratio=0.3",
        "start.training.epochs=3",
        "matching.channel.num_contexts=2",
        "self_training.decoder.insertion_score=2.0",
    ),
    "words in self-training": ("language_model.word_estimator.order=3",),
    "a layer of an upstream": (
        "features.layer=1",
        "features.runtime.batch_seconds=10.0",
        "features.projection.num_components=8",
    ),
    "wav2vec-U": (
        "features.layers=all",
        "features.silence.keep_frames=3",
        "segmentation.segmenter.kmeans.num_clusters=64",
        "segmentation.adjacent_pooling=null",
        "gan.population.num_seeds=2",
    ),
    "the game alone": (
        "features.silence.keep_frames=1",
        "gan.text_silence={_target_: lm.silence.SilenceInText}",
        "gan.auxiliary_clusterer.niter=20",
        "gan.decode_stride=null",
        "realign.num_rounds=1",
    ),
    "fine-tuned": (
        "self_training.training.updates=100",
        "self_training.decoder.lm_weight=0.2",
        "features.delta_weights=[1.0, 0.5, 0.5]",
    ),
    "a model of letters": (
        "self_training.training.updates=100",
        "self_training.letters.word_decoder.boundary=/",
        "words.decoder.beam=30",
    ),
    "TIMIT": (
        "corpus.references=false",
        "corpus.setup=unmatched",
        "text.front_end.min_phone_count=2",
        "realign.num_rounds=3",
    ),
}


def stages_again(setup: str, option: str) -> list[str]:
    """Stages, in the order of the graph, that run when the option is changed after a whole run."""
    recipe, *given = SETUPS[setup]
    before, after = _keys(recipe, *given), _keys(recipe, *given, option)
    return [stage for stage, key in after.items() if before.get(stage) != key]


def page() -> str:
    """docs/stages.md."""
    lines = [
        "# Which stages an option runs again",
        "",
        "A stage runs again when an option that it reads has changed, or a stage that it is made "
        "from. Read off the graph by `python -m tests.stage_table`; a test keeps it true.",
    ]
    for setup, changes in CHANGES.items():
        recipe, *given = SETUPS[setup]
        stages = list(_keys(recipe, *given))
        lines += ["", f"## {setup[0].upper()}{setup[1:]}", "", f"`{' '.join([recipe, *given])}`: "]
        lines[-1] += f"{len(stages)} stages ({', '.join(stages)})."
        lines += ["", "| option | stages that run again |", "|---|---|"]
        for option in changes:
            again = stages_again(setup, option)
            lines.append(f"| `{option}` | {', '.join(again) or 'none'} |")
    return "\n".join(lines) + "\n"


@cache
def _keys(recipe: str, *options: str) -> dict[str, object]:
    config = load_recipe(str(ROOT / "recipes" / recipe), list(options))
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        if recipe == "timit":  # its key reads who speaks what
            write_timit(Path("TIMIT"))
        described = stage_keys(build_graph(config), config, Path("exp"))
    return {stage: material["key"] for stage, material in described.items()}


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
