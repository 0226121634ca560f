"""Stages that search for words, killed between two blocks of utterances, and damaged."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf

from lm.lexicon_viterbi import LexiconViterbi
from lm.ngram import NgramEstimator
from lm.words import WordDecoder
from unsup_asr.acoustic.posteriors import id_blocks
from unsup_asr.acoustic.training import NetworkTraining
from unsup_asr.engine.artifacts import Artifact
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.finished import describe_outputs
from unsup_asr.formats.hypotheses import read_hypotheses, read_word_hypotheses
from unsup_asr.formats.phone_text import write_phone_sentences
from unsup_asr.formats.ragged import RaggedArray, RaggedWriter
from unsup_asr.steps import parts, realign, words
from unsup_asr.steps.realign import every_nth

PHONES = "abcd"
WORDS = ["ab", "cad", "dab", "abc", "b"]
SIZES = {"train": 9, "dev": 4, "test": 9}
CONFIG = {
    "seed": 0,
    "runtime": {"num_threads": 1, "processes": 1},
    "realign": {
        "prior_scale": 1.0,
        "pauses": None,
        "training": {
            "_target_": "unsup_asr.acoustic.training.NetworkTraining",
            "hidden": 8,
            "epochs": 8,
            "batch_size": 2,
            "learning_rate": 0.02,
        },
        "aligner": {"_target_": "lm.lexicon_viterbi.LexiconViterbi"},
    },
    "language_model": {"scorer": {"_target_": "lm.perplexity.PerplexityScorer"}},
    "words": {
        "decoder": {
            "_target_": "lm.words.WordDecoder",
            "lm_path": "words.arpa",
            "lexicon_path": "lexicon.tsv",
            "blank": "<blank>",
            "beam": 8,
        },
        "tuning": {
            "_target_": "lm.word_tuning.LabelFreeWordTuning",
            "lm_weights": [0.1, 1.0],
            "word_scores": [0.0],
            "num_utterances": 2,
        },
    },
}


class Killed(BaseException):
    pass


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """Speech that spells words in noisy one-hot frames, six a phone, and what stages made of it."""
    folder = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(0)
    sentences = [[WORDS[k] for k in rng.integers(0, len(WORDS), 4)] for _ in range(40)]
    text = folder / "text"
    text.mkdir()
    (text / "inventory.json").write_text(json.dumps({"phones": list(PHONES)}), "utf-8")
    write_phone_sentences(text / "phones.txt", [[tuple(w) for w in s] for s in sentences])
    (folder / "language_model").mkdir()
    phone_lm = NgramEstimator(order=2)
    phone_lm.estimate_to(
        folder / "language_model" / "phones.arpa", [list("".join(s)) for s in sentences]
    )
    lexicon = folder / "lexicon" / "words"
    lexicon.mkdir(parents=True)
    rows = [f"{word}\t{' '.join(word)}\t1" for word in WORDS]
    (lexicon / "lexicon.tsv").write_text("\n".join(rows) + "\n", "utf-8")
    NgramEstimator(order=2).estimate_to(lexicon / "words.arpa", sentences)
    features = folder / "features"
    features.mkdir()
    timing = json.dumps({"frame_shift_s": 0.01, "first_centre_s": 0.0125})
    (features / "timing.json").write_text(timing, "utf-8")
    targets = {}
    for split, size in SIZES.items():
        with (
            RaggedWriter(features / "acoustic" / split) as acoustic,
            RaggedWriter(features / "kept" / split, dtype="int32") as kept_frames,
            RaggedWriter(folder / "choice" / "labels" / split, dtype="int32") as labels,
        ):
            for number in range(size):
                said = [PHONES.index(p) for p in "".join(sentences[rng.integers(40)])]
                frame_labels = np.repeat(np.array(said, np.int32), 6)
                noise = rng.normal(0, 0.4, (len(frame_labels), len(PHONES)))
                utterance_id = f"{split}{number}"
                acoustic.append(utterance_id, np.eye(len(PHONES))[frame_labels] + noise)
                kept_frames.append(utterance_id, np.arange(len(frame_labels)))
                labels.append(utterance_id, frame_labels)
                targets[utterance_id] = np.array(said, np.int32)
    frames = RaggedArray.open(features / "acoustic" / "train")
    training = NetworkTraining(hidden=8, epochs=2, batch_size=4)
    network, _ = training.train_ctc(frames, {i: targets[i] for i in frames}, num_phones=len(PHONES))
    realign.save_network(network, folder / "supervised")
    return {path.name: Artifact(path.name, path, False) for path in folder.iterdir()}


def context_of(stage: str, out: Path, inputs: dict[str, Artifact]) -> StageContext:
    config = OmegaConf.create(CONFIG)
    assert isinstance(config, DictConfig)
    out.mkdir(exist_ok=True)
    return StageContext(stage, out, config, 0, inputs)


RUNS = {
    "realign": partial(realign.run_realign, labels_from="choice"),
    "supervised_words": words.run_supervised_words,
}
SEARCHES = {
    "realign": (LexiconViterbi, "decode"),
    "supervised_words": (WordDecoder, "decode_batch"),
}


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "id_blocks", partial(id_blocks, block_frames=150))


def count_searches(
    stage: str, monkeypatch: pytest.MonkeyPatch, *, dies_at: int | None = None
) -> list[int]:
    """One entry for each search from now on; the so-manieth is killed."""
    kind, name = SEARCHES[stage]
    search, done = getattr(kind, name), []

    def counted(*arguments, **options):
        done.append(1)
        if len(done) == dies_at:
            raise Killed
        return search(*arguments, **options)

    monkeypatch.setattr(kind, name, counted)
    return done


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("stage", RUNS)
def test_a_search_that_is_killed_and_damaged_goes_on_to_the_same_bytes(
    stage: str, inputs: dict[str, Artifact], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = RUNS[stage]
    with pytest.MonkeyPatch.context() as patch:
        alone = count_searches(stage, patch)
        run(context_of(stage, tmp_path / "alone", inputs))
    assert len(alone) >= 6
    out = tmp_path / "killed"
    begun = 0
    for dies_at in (4, 2):
        with pytest.MonkeyPatch.context() as patch:
            count_searches(stage, patch, dies_at=dies_at)
            with pytest.raises(Killed):
                run(context_of(stage, out, inputs))
        begun += dies_at - 1
    written = sorted(out.glob("parts/*/*/*.tsv"))
    assert len(written) >= 2
    written[0].write_text(written[0].read_text("utf-8").replace("a", "b"), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        again = count_searches(stage, patch)
        run(context_of(stage, out, inputs))
    assert "is damaged and made again" in caplog.text
    assert len(again) == len(alone) - begun + 1
    assert describe_outputs(out) == describe_outputs(tmp_path / "alone")
    assert not (out / "parts").exists()


@pytest.mark.usefixtures("small_blocks")
def test_blocks_together_are_all_utterances_in_their_order(
    inputs: dict[str, Artifact], tmp_path: Path
) -> None:
    realigned, recognised = tmp_path / "realign", tmp_path / "words"
    RUNS["realign"](context_of("realign", realigned, inputs))
    RUNS["supervised_words"](context_of("supervised_words", recognised, inputs))
    frames = RaggedArray.open(inputs["features"].file("acoustic/train"))
    labels = RaggedArray.open(realigned / "labels" / "train")
    right = RaggedArray.open(inputs["choice"].file("labels/train"))
    assert labels.ids == frames.ids
    assert all(len(labels[i]) == len(frames[i]) for i in frames)
    agree = [np.mean(labels[i] == right[i]) for i in frames]
    assert np.mean(agree) > 0.8
    for split in SIZES:
        ids = RaggedArray.open(inputs["features"].file(f"acoustic/{split}")).ids
        found = read_hypotheses(realigned / "hypotheses" / f"{split}.tsv")
        assert [h.utterance_id for h in found] == ids
    said = read_word_hypotheses(recognised / "words" / "test.tsv")
    assert [h.utterance_id for h in said] == [f"test{i}" for i in range(9)]
    assert len(json.loads((recognised / "tuning.json").read_text("utf-8"))) == 2


@pytest.mark.parametrize("stage", RUNS)
def test_blocks_of_other_utterances_are_not_taken_for_the_same(
    stage: str,
    inputs: dict[str, Artifact],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when a later version makes larger blocks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "id_blocks", partial(id_blocks, block_frames=100))
        count_searches(stage, patch, dies_at=6)
        with pytest.raises(Killed):
            RUNS[stage](context_of(stage, tmp_path, inputs))
    monkeypatch.setattr(parts, "id_blocks", partial(id_blocks, block_frames=250))
    RUNS[stage](context_of(stage, tmp_path, inputs))
    first = "train" if stage == "realign" else "test"
    found = read_hypotheses(tmp_path / "hypotheses" / f"{first}.tsv")
    assert [h.utterance_id for h in found] == [f"{first}{i}" for i in range(9)]


def test_every_nth_label_is_one_of_the_middle_of_its_group() -> None:
    labels = {"u": np.arange(7, dtype=np.int32), "v": np.array([4], dtype=np.int32)}
    found = every_nth(labels, ["v", "u"], 3)
    assert {i: x.tolist() for i, x in found.items()} == {"v": [4], "u": [1, 4, 6]}
    assert list(found) == ["v", "u"]
