"""The published systems' recipes, whole, at tiny size: fake corpora, a drawn wav2vec 2.0 in the
published format. They show that all works, not how well.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.unsup_asr.fake_corpora import LIBRISPEECH, write_librispeech
from tests.unsup_asr.fake_timit import write_timit
from tests.unsup_asr.upstreams.fairseq_checkpoints import fairseq_state, write
from tests.unsup_asr.upstreams.transformers_checkpoints import SIZE, save_family
from unsup_asr.acoustic.posteriors import log_posteriors
from unsup_asr.cli import main
from unsup_asr.engine.recipe import load_recipe
from unsup_asr.formats.hypotheses import read_hypotheses
from unsup_asr.formats.manifest import read_manifest
from unsup_asr.formats.ragged import RaggedArray
from unsup_asr.recognise.timing import spans
from unsup_asr.report.results import Results
from unsup_asr.speech.audio import read_audio
from unsup_asr.speech.timing import read_timing
from unsup_asr.transcribe import load_model
from unsup_asr.upstreams.normalise import normalise_speaker

RECIPES = [
    f"{corpus}_{system}"
    for corpus in ("timit", "librispeech_100", "librispeech_960")
    for system in ("w2vu", "w2vu2")
]
SMALL = {
    "": [
        *("features.layer=2", "runtime.device=cpu"),
        *("gan.trainer.updates=4", "gan.trainer.validate_every=2", "gan.trainer.batch_size=8"),
        *("gan.trainer.discriminator_hidden=8", "gan.population.num_seeds=1"),
        *("realign.num_rounds=1", "realign.training.epochs=1", "realign.training.hidden=8"),
        *("self_training.num_rounds=1", "self_training.training.epochs=1"),
        *("self_training.training.hidden=8", "runtime.num_threads=1"),
    ],
    "w2vu": [
        *("features.projection.num_components=8", "segmentation.segmenter.kmeans.num_clusters=8"),
    ],
    "w2vu2": [
        *("gan.auxiliary_clusterer.num_clusters=4", "gan.trainer.num_auxiliary_classes=4"),
    ],
    "timit": ["corpus.allow_incomplete=true"],
    "librispeech": ["words.tuning=null"],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    save_family("wav2vec2_large_lv60k", folder / "wav2vec2")
    write_timit(folder / "TIMIT", num_words=2)
    write_librispeech(folder / "LibriSpeech")
    said = [s for of in LIBRISPEECH.values() for chapter in of.values() for s in chapter]
    words = sorted({word for sentence in said for word in sentence.upper().split()})
    # every letter a phone, written as ARPAbet's vowels are; the last word is in no dictionary
    entries = [f"{word}  {' '.join(f'{c}1' for c in word)}" for word in words[:-1]]
    (folder / "lexicon.txt").write_text("\n".join(entries) + "\n", "utf-8")
    rng = np.random.default_rng(0)
    text = [" ".join(rng.choice(words, size=4)) for _ in range(60)]
    (folder / "text.txt").write_text("\n".join(text) + "\n", "utf-8")
    return folder


def options(recipe: str, data: Path) -> list[str]:
    corpus, system = recipe.split("_")[0], recipe.rsplit("_", 1)[1]
    given = [*SMALL[""], *SMALL[system], *SMALL[corpus]]
    given.append(f"features.upstream.checkpoint={data / 'wav2vec2'}")
    if corpus == "timit":
        return [*given, f"corpus.root={data / 'TIMIT'}"]
    given += [f"corpus.root={data / 'LibriSpeech'}", f"corpus.text={data / 'text.txt'}"]
    return [*given, f"text.front_end.dictionary={data / 'lexicon.txt'}"]


def run(recipe: str, data: Path, folder: Path, *, after: Sequence[str] = ()) -> Path:
    """`after` stands for what SMALL says of the stages behind the game."""
    of_others = ("realign.", "self_training.") if after else ()
    small = [o for o in options(recipe, data) if not (of_others and o.startswith(of_others))]
    command = ["run", recipe, "--exp", str(folder), *small, *after]
    assert main(command) == 0
    torch.set_num_threads(1)
    return folder / recipe / "latest"


@pytest.fixture(scope="module")
def w2vu(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run("librispeech_100_w2vu", data, tmp_path_factory.mktemp("exp"))


@pytest.fixture(scope="module")
def w2vu2(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run("timit_w2vu2", data, tmp_path_factory.mktemp("exp"))


def generator_of(latest: Path) -> dict:
    return json.loads((latest / "gan" / "generator.json").read_text("utf-8"))["shape"]


def test_the_recipes_have_the_published_values() -> None:
    for recipe in RECIPES:
        config = load_recipe(recipe)
        assert config.features.upstream.model == "wav2vec2_large_lv60k"
        assert (config.features.layer, config.start.road, config.gan.start) == (15, "game", None)
        vary = config.gan.population.vary
        members = config.gan.population.num_seeds * np.prod([len(v) for v in vary.values()])
        if recipe.endswith("_w2vu"):
            assert config.features.projection.num_components == 512
            assert config.segmentation.segmenter.kmeans.num_clusters == 128
            assert members == 2 * 2 * 3 * 5
        else:
            assert config.features.projection is None
            assert config.segmentation.pooling is None
            assert config.gan.auxiliary_clusterer.num_clusters == 64
            assert members == 2**4 * 4
        silence = config.gan.text_silence
        if recipe.startswith("timit"):
            assert (config.features.cut_from, silence) == ("frames", None)
        else:
            assert config.features.cut_from == "audio"
            assert silence.probability == (0.25 if recipe.endswith("_w2vu") else 0.5)
    assert len(load_recipe("librispeech_960_w2vu2").corpus.train_subset) == 3


def test_any_recipe_takes_a_system_and_what_stands_beside_it() -> None:
    config = load_recipe("demo", ["system=w2vu2", "gan=w2vu", "features.layer=9"])
    assert (config.start.road, config.features.layer) == ("game", 9)
    assert config.segmentation.pooling is None
    assert config.gan.trainer.get("generator_stride", 1) == 1  # what is named goes before
    assert config.corpus == load_recipe("demo").corpus
    other = load_recipe("timit_w2vu", ["system=w2vu2"])
    assert other.gan.trainer.generator_stride == 3


def test_w2vu_plays_on_pooled_components_and_text_with_silence(w2vu: Path) -> None:
    phones = json.loads((w2vu / "text" / "inventory.json").read_text("utf-8"))["phones"]
    shape = generator_of(w2vu)
    assert (shape["input_dim"], shape["num_phones"]) == (8, len(phones) + 1)
    assert all(len(phone) == 1 for phone in phones)  # no stress
    runs, pairs = (
        RaggedArray.open(w2vu / "segments" / name / "train") for name in ("runs", "boundaries")
    )
    assert pairs.lengths.sum() < runs.lengths.sum()
    assert not (w2vu / "units" / "clusters").exists()
    assert len(json.loads((w2vu / "gan" / "gan.json").read_text("utf-8"))["members"]) == 12


def test_with_a_language_model_segments_are_read_before_they_are_joined(w2vu: Path) -> None:
    posteriors, joined = (
        RaggedArray.open(w2vu / "gan" / name / "test") for name in ("unjoined", "posteriors")
    )
    runs = RaggedArray.open(w2vu / "segments" / "runs" / "test")
    assert posteriors.lengths.tolist() == (runs.lengths - 1).tolist()
    assert posteriors.lengths.sum() > joined.lengths.sum()
    timing = read_timing(w2vu / "features" / "timing.json")
    kept = RaggedArray.open(w2vu / "features" / "kept" / "test")
    starts = {i: spans(np.array(runs[i]), np.array(kept[i]), timing)[0] for i in runs}
    for hypothesis in read_hypotheses(w2vu / "gan_lm" / "hypotheses" / "test.tsv"):
        of_runs = np.round(starts[hypothesis.utterance_id], 4)
        assert set(np.round(hypothesis.starts_s, 4)) <= set(of_runs)


def test_a_second_game_plays_on_the_segments_of_the_hmm_as_they_are(
    data: Path, w2vu: Path, tmp_path: Path
) -> None:
    """They are no runs of clusters, and not joined by twos."""
    given = [o for o in options("librispeech_100_w2vu", data) if not o.startswith("realign.")]
    hmm = ["realign=hmm", "realign.num_iterations=2", "realign.num_rounds=1", "realign.stack=1"]
    hmm += ["realign.training.num_components=2", "realign.training.steps=1"]
    shutil.copytree(w2vu.parents[1], tmp_path / "exp", symlinks=True)
    command = ["run", "librispeech_100_w2vu", "--exp", str(tmp_path / "exp"), "--until", "gan_2"]
    assert main([*command, *given, *hmm, "~realign.training.stack"]) == 0
    stages = tmp_path / "exp" / "librispeech_100_w2vu"
    (pooled,) = stages.glob("units_2/*/pooled/test")
    (edges,) = stages.glob("hmm_1/*/boundaries/test")
    lengths = (RaggedArray.open(edges).lengths - 1).tolist()
    assert RaggedArray.open(pooled).lengths.tolist() == lengths


def test_its_rows_are_those_of_the_game_and_of_what_learns_from_it(w2vu: Path) -> None:
    results = Results.read(w2vu / "evaluate" / "results.json")
    assert {"gan", "gan+lm", "realign_1", "self_training", "supervised"} <= set(results.rows)
    assert not any(row.startswith("matching") for row in results.rows)
    assert results.population is not None
    assert len(results.population.members) == 12
    assert results.rows["gan+lm"].decoding == "phone LM"


def test_words_without_phones_are_counted_in_text_and_references(w2vu: Path) -> None:
    counts = json.loads((w2vu / "text" / "counts.json").read_text("utf-8"))
    assert counts["lines"]["unknown_word"] == 60 - counts["sentences_kept"] > 0
    assert counts["unknown_words"]["distinct"] == 1


def test_the_model_hears_new_audio_without_its_silences(w2vu: Path) -> None:
    model = load_model(w2vu / "model")
    acoustic, kept = (
        RaggedArray.open(w2vu / "features" / name / "test") for name in ("acoustic", "kept")
    )
    for utterance in read_manifest(w2vu / "corpus" / "test.jsonl"):
        samples = read_audio(utterance.audio, sample_rate=model.upstream.sample_rate)
        frames = model.frames(samples, model.silence)
        assert frames is not None
        assert model.statistics is not None
        features, found = normalise_speaker(frames[0], model.statistics), frames[1]
        (heard,) = log_posteriors(model.network, {"u": features}).values()
        assert found.tolist() == kept[utterance.id].tolist()
        assert len(found) == found[-1] + 1 - 5  # of a pause of 7 frames 2 stay
        (expected,) = log_posteriors(model.network, {"u": acoustic[utterance.id]}).values()
        np.testing.assert_allclose(heard, expected, atol=5e-3)


def test_w2vu2_plays_on_frames_as_they_are(w2vu2: Path) -> None:
    shape = generator_of(w2vu2)
    assert (shape["input_dim"], shape["stride"], shape["kernel"]) == (SIZE["hidden_size"], 3, 9)
    assert not (w2vu2 / "units").exists()
    frames = RaggedArray.open(w2vu2 / "features" / "cluster" / "train")
    assert frames.values_array.dtype == np.float16
    for name in ("values.npy", "index.tsv"):  # one array, whatever reads it
        same = [
            w2vu2 / "features" / read_as / "train" / name for read_as in ("boundary", "cluster")
        ]
        assert same[0].samefile(same[1])
    targets = RaggedArray.open(w2vu2 / "auxiliary" / "targets" / "train")
    assert targets.lengths.tolist() == frames.lengths.tolist()
    assert set(np.unique(targets.values_array)) == set(range(4))
    history = json.loads((w2vu2 / "gan" / "gan.json").read_text("utf-8"))["members"][0]["history"]
    assert history[-1]["auxiliary"] > 0
    results = Results.read(w2vu2 / "evaluate" / "results.json")
    assert results.silence == "sil counted"
    posteriors = RaggedArray.open(w2vu2 / "gan" / "posteriors" / "test").values_array[:4]
    np.testing.assert_array_equal(posteriors[0], posteriors[1])  # read at stride 2
    assert (posteriors[1] != posteriors[2]).any()


def test_a_file_of_fairseq_gives_the_features_that_the_hub_gives(
    data: Path, w2vu: Path, tmp_path: Path
) -> None:
    path = write(fairseq_state("wav2vec_vox_new"), tmp_path)
    given = [o for o in options("librispeech_100_w2vu", data) if "upstream" not in o]
    given.append("~features.upstream.model")
    upstream = f"features.upstream={{_target_: fairseq_checkpoint, checkpoint: {path}}}"
    command = ["run", "librispeech_100_w2vu", "--exp", str(tmp_path / "exp"), *given, upstream]
    assert main([*command, "--until", "features"]) == 0
    latest = tmp_path / "exp" / "librispeech_100_w2vu" / "latest"
    for name in ("acoustic", "kept"):
        found, expected = (
            RaggedArray.open(of / "features" / name / "train") for of in (latest, w2vu)
        )
        assert found.ids == expected.ids
        np.testing.assert_allclose(found.values_array, expected.values_array, atol=5e-3)


# what the published systems do after the game: an HMM, then wav2vec 2.0 itself, fine-tuned
AS_PUBLISHED = [
    *("realign=hmm", "realign.num_iterations=1", "realign.num_rounds=1", "realign.stack=1"),
    *("~realign.training.stack", "realign.training.num_components=2", "realign.training.steps=1"),
    *("self_training=finetune", "~self_training.training.stack"),
    *("self_training.training.updates=2", "self_training.training.head_updates=1"),
    *("self_training.training.batch_seconds=60", "self_training.training.pass_seconds=30"),
]


@pytest.mark.parametrize(
    "recipe", [r for r in RECIPES if r not in ("librispeech_100_w2vu", "timit_w2vu2")]
)
def test_the_others_run_whole_with_what_the_published_systems_do_after_the_game(
    recipe: str, data: Path, tmp_path: Path
) -> None:
    latest = run(recipe, data, tmp_path, after=AS_PUBLISHED)
    train = read_manifest(latest / "corpus" / "train.jsonl")
    if recipe.startswith("librispeech_960"):
        assert {utterance.speaker for utterance in train} == {"103", "26", "14", "25"}
    rows = Results.read(latest / "evaluate" / "results.json").rows
    assert {"gan", "gan+lm", "hmm_1", "self_training", "supervised"} <= set(rows)
    assert ("self_training+words" in rows) == recipe.startswith("librispeech")
    model = load_model(latest / "model")
    test = read_manifest(latest / "corpus" / "test.jsonl")
    heard = read_hypotheses(latest / "self_training_1" / "hypotheses" / "test.tsv")
    expected = {h.utterance_id: h.phones for h in heard}
    assert model.transcribe(test[0].audio).phones == expected[test[0].id]
