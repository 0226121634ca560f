"""Stage `gan` on a cipher of seconds: what can go wrong is made to, and the stage says so."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf

from lm.ngram import NgramEstimator
from tests.pretend_device import DEVICE, pretend_device
from unsup_asr import compute
from unsup_asr.engine.artifacts import Artifact
from unsup_asr.engine.recipe_files import GROUPS
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.hypotheses import read_hypotheses
from unsup_asr.formats.phone_text import write_phone_sentences
from unsup_asr.formats.ragged import RaggedArray, RaggedWriter
from unsup_asr.steps.adversarial import of_segments, run_gan
from unsup_asr.steps.criterion import text_perplexity
from unsup_asr.steps.diagnose import findings_of_game

PHONES = "abcdefghij"
NUM_FRAMES = 3  # of a segment
SIZES = {"train": 60, "dev": 4, "test": 4}
STILL = {"generator_learning_rate": 0.0, "updates": 2, "validate_every": 2}
SMALL = {
    "batch_size": 16,
    "warm_up_updates": 0,
    "discriminator_hidden": 16,
    "discriminator_kernel": 3,
    "updates": 60,
    "validate_every": 20,
}


def language(count: int, *, seed: int, length: int = 12, phones: str = PHONES) -> list[list[str]]:
    """Walks around the phones with preferred steps."""
    rng = np.random.default_rng(seed)
    steps = rng.choice([1, 2, 5], p=[0.6, 0.3, 0.1], size=(count, length))
    steps[:, 0] = rng.integers(len(phones), size=count)
    return [[phones[i] for i in walk] for walk in steps.cumsum(1) % len(phones)]


def with_pauses(sentences: list[list[str]], rate: float, *, seed: int) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    spread = [[(phone, rng.random() < rate) for phone in s] for s in sentences]
    return [
        [p for phone, pause in s for p in ((phone, "sil") if pause else (phone,))] for s in spread
    ]


class World:
    """The artifacts that the stage reads: `speech` and `text` are sentences of phones.

    The table that matching found is right, unless `table` is another.
    """

    def __init__(
        self,
        folder: Path,
        *,
        speech: list[list[str]] | None = None,
        text: list[list[str]] | None = None,
        phones: list[str] | None = None,
        heard: list[str] | None = None,
        table: np.ndarray | None = None,
    ) -> None:
        self.folder = folder
        self.phones = phones or list(PHONES)
        self.heard = heard or self.phones  # what segments may be, phones and other things
        text = text or language(300, seed=0)
        speech = speech or language(sum(SIZES.values()), seed=1)
        self.at("text").mkdir(parents=True)
        inventory = json.dumps({"phones": self.phones})
        (self.at("text") / "inventory.json").write_text(inventory, "utf-8")
        write_phone_sentences(self.at("text") / "phones.txt", [[(p,) for p in s] for s in text])
        self.at("language_model").mkdir()
        NgramEstimator(order=3).estimate_to(self.at("language_model") / "phones.arpa", text)
        self.at("matching").mkdir()
        right = np.eye(len(self.phones), dtype=np.float32)
        np.save(self.at("matching") / "table.npy", right if table is None else table)
        self.at("features").mkdir()
        timing = json.dumps({"frame_shift_s": 0.01, "first_centre_s": 0.0125})
        (self.at("features") / "timing.json").write_text(timing, "utf-8")
        rng, first = np.random.default_rng(2), 0
        for split, size in SIZES.items():
            self._write(split, speech[first : first + size], rng)
            first += size

    def at(self, stage: str) -> Path:
        return self.folder / stage

    def _write(self, split: str, sentences: list[list[str]], rng: np.random.Generator) -> None:
        arrays = {"pooled": "float32", "acoustic": "float32"}
        arrays |= {"clusters": "int32", "boundaries": "int32", "kept": "int32"}
        homes = {"boundaries": "segments", "kept": "features", "acoustic": "features"}
        for name, dtype in arrays.items():
            folder = self.at(homes.get(name, "units")) / name / split
            with RaggedWriter(folder, dtype=dtype) as writer:
                for number, sentence in enumerate(sentences):
                    ids = np.array([self.heard.index(p) for p in sentence], dtype=np.int32)
                    one_hot = np.eye(len(self.heard), dtype=np.float32)[ids]
                    noise = rng.standard_normal(one_hot.shape, dtype=np.float32)
                    frames = one_hot.repeat(NUM_FRAMES, axis=0)
                    rows = {
                        "acoustic": frames + 0.1 * rng.standard_normal(frames.shape),
                        "pooled": one_hot + 0.1 * noise,
                        "clusters": ids,
                        "boundaries": NUM_FRAMES * np.arange(len(ids) + 1, dtype=np.int32),
                        "kept": np.arange(NUM_FRAMES * len(ids), dtype=np.int32),
                    }
                    writer.append(f"{split}{number}", rows[name])

    def play(
        self,
        preset: str = "w2vu_from_matching",
        seeds: int = 1,
        gan: dict | None = None,
        **trainer,
    ) -> list[str]:
        """Run the stage with these changes to the preset and its trainer; what it found."""
        groups = {"gan": preset, "language_model": "kneser_ney"}
        config = OmegaConf.merge(
            {"seed": 0},
            {group: OmegaConf.load(GROUPS / group / f"{n}.yaml") for group, n in groups.items()},
            {"gan": {"trainer": {**SMALL, **trainer}, "population": {"num_seeds": seeds}}},
            {"gan": gan or {}},
        )
        assert isinstance(config, DictConfig)
        names = ("features", "segments", "units", "matching", "text", "language_model")
        inputs = {n: Artifact(n, self.at(n), reads_references=False) for n in names}
        out = self.folder / "gan"
        out.mkdir()
        run_gan(StageContext("gan", out, config, 0, inputs))
        inputs["gan"] = Artifact("gan", out, reads_references=False)
        context = StageContext("diagnosis", self.folder, config, 0, inputs)
        return [f.message for f in findings_of_game(context, text_perplexity(context))]


SAYS = {
    "perplexity": "what gan hears has a weighted perplexity of",
    "few_phones": "phones are used, the top three",
    "discriminator_ahead": "the discriminator tells generated from real by",
    "generator_ahead": "it does not know which is which",
    "length": "phones an utterance against",
    "divergence": "bigrams of the output diverge",
    "silence": "silence is",
    "members_alike": "choosing among them decides nothing",
}


def kinds(findings: list[str]) -> list[str]:
    """One kind a message, by what it says."""
    found = [[kind for kind, phrase in SAYS.items() if phrase in message] for message in findings]
    assert all(len(kind) == 1 for kind in found), findings
    return [kind for (kind,) in found]


def test_a_game_that_goes_well_has_no_finding(tmp_path: Path) -> None:
    assert World(tmp_path).play() == []


def test_a_game_that_writes_what_the_text_says_too_often_has_collapsed(tmp_path: Path) -> None:
    """The perplexity that does not count phones lets it: nine sentences of ten say a b a b."""
    often = [["a", "b"] * 6 if i % 10 else s for i, s in enumerate(language(300, seed=0))]
    found = World(tmp_path, text=often).play(
        "w2vu", criterion="lm_perplexity", diversity=0.0, generator_learning_rate=0.05
    )
    assert kinds(found) == ["perplexity", "few_phones", "length", "divergence"]
    assert re.match("only [2-4] of 10 phones are used, the top three (9[5-9]|100) %", found[1])


def test_a_discriminator_without_a_penalty_runs_away(tmp_path: Path) -> None:
    found = World(tmp_path).play(
        "w2vu",
        generator_learning_rate=0.0,
        discriminator_learning_rate=0.05,
        gradient_penalty=0.0,
    )
    assert "discriminator_ahead" in kinds(found)


def test_a_discriminator_that_does_not_learn_falls_behind(tmp_path: Path) -> None:
    found = World(tmp_path).play(
        "w2vu", discriminator_learning_rate=0.0, generator_learning_rate=0.01
    )
    assert "generator_ahead" in kinds(found)


def test_utterances_longer_than_sentences_are_found(tmp_path: Path) -> None:
    found = World(tmp_path, text=language(300, seed=0, length=6)).play(**STILL)
    assert kinds(found) == ["generator_ahead", "length"]
    assert found[1].startswith("12.0 phones an utterance against 6.0 a sentence of text: more")


def test_a_wrong_table_that_does_not_change_is_no_language(tmp_path: Path) -> None:
    wrong = np.roll(np.eye(10, dtype=np.float32), 1, axis=1)[:, [0, 5, 3, 8, 1, 9, 4, 2, 7, 6]]
    assert {"perplexity", "divergence"} < set(kinds(World(tmp_path, table=wrong).play(**STILL)))


@pytest.mark.parametrize(
    ("pauses", "expected"), [(0.3, ["generator_ahead", "silence"]), (0.05, [])]
)
def test_pauses_that_the_text_lacks_are_found(
    pauses: float, expected: list[str], tmp_path: Path
) -> None:
    world = World(
        tmp_path,
        phones=[*PHONES, "sil"],
        text=with_pauses(language(300, seed=0), 0.05, seed=5),
        speech=with_pauses(language(sum(SIZES.values()), seed=1), pauses, seed=6),
    )
    assert kinds(world.play(**STILL)) == expected


def test_members_that_never_leave_their_start_are_alike(tmp_path: Path) -> None:
    found = World(tmp_path).play(seeds=2, **STILL)
    assert kinds(found) == ["members_alike"]
    assert found[0].startswith("all 2 members write the same for at least 100 % of utterances")


def test_a_generator_with_a_stride_names_as_many_segments_with_each_output(tmp_path: Path) -> None:
    """Of 4 segments and stride 3, the second output names the last one alone."""
    rows = RaggedArray.from_arrays({"u": np.zeros((4, 2), np.float32)})
    outputs = np.eye(2, dtype=np.float32)
    generator = SimpleNamespace(stride=3, posteriors=lambda _: outputs)
    assert of_segments(generator, rows)["u"].argmax(1).tolist() == [0, 0, 0, 1]


def test_posteriors_are_made_one_utterance_at_a_time() -> None:
    made: list[int] = []

    def posteriors(rows_SD: np.ndarray) -> np.ndarray:
        made.append(len(rows_SD))
        return np.full((len(rows_SD), 2), 0.5, np.float32)

    rows = RaggedArray.from_arrays({i: np.zeros((n, 2)) for i, n in (("u", 3), ("v", 5))})
    found = of_segments(SimpleNamespace(stride=1, posteriors=posteriors), rows)
    assert (list(found), len(found), made) == (["u", "v"], 2, [])
    assert found["v"].shape == (5, 2)
    assert made == [5]


def test_an_output_past_the_last_segment_names_no_segment(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.play("w2vu", padding="reference", **STILL)
    labels = RaggedArray.open(world.at("gan") / "labels" / "train")
    boundaries = RaggedArray.open(world.at("segments") / "boundaries" / "train")
    assert {i: len(labels[i]) for i in labels} == {i: int(boundaries[i][-1]) for i in boundaries}


YEH = {"ngram_order": 3, "generator_hidden": 32, "generator_learning_rate": 0.01}


def test_ngrams_of_the_text_teach_a_classifier_of_frames(tmp_path: Path) -> None:
    world = World(tmp_path)
    found = world.play("yeh2019", **YEH, updates=100, batch_size=60, validate_every=50)
    assert found == []
    game = json.loads((world.at("gan") / "gan.json").read_text("utf-8"))
    curve = [row["weighted_lm_perplexity"] for row in game["members"][0]["history"]]
    assert curve[-1] < 0.3 * curve[0]
    shape = json.loads((world.at("gan") / "generator.json").read_text("utf-8"))["shape"]
    assert shape["input_dim"] == 11 * len(PHONES)
    assert not (world.at("gan") / "scratch").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": None}, "frames_per_segment is 3, and segments are pooled into one row: set"),
        ({"start": {"_target_": "gan.start.OneHotClusters"}}, "gan.frames and gan.start are both"),
    ],
)
def test_frames_and_pooled_segments_do_not_mix(changes: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        World(tmp_path).play("yeh2019", gan=changes, **YEH)


def curve_of(folder: Path, split: str) -> list[float]:
    world = World(folder)
    world.play(gan={"validate_on": split}, **STILL)
    game = json.loads((world.at("gan") / "gan.json").read_text("utf-8"))
    return [row["weighted_lm_perplexity"] for row in game["members"][0]["history"]]


def test_checkpoints_are_judged_on_the_split_that_is_asked_for(tmp_path: Path) -> None:
    on_train, on_dev = curve_of(tmp_path / "a", "train"), curve_of(tmp_path / "b", "dev")
    assert on_train[0] != pytest.approx(on_dev[0], rel=1e-3)  # four utterances instead of sixty


@pytest.mark.parametrize("preset", ["w2vu_from_matching", "w2vu"])
def test_the_stage_runs_on_an_accelerator(preset: str, tmp_path: Path) -> None:
    world = World(tmp_path)
    with pretend_device(), compute.using(DEVICE):
        world.play(preset, seeds=2, **STILL)
    labels = RaggedArray.open(world.at("gan") / "labels" / "train")
    assert len(labels) == SIZES["train"]
    assert (world.at("gan") / "generator.safetensors").is_file()


SILENCE = {"_target_": "lm.silence.SilenceInText", "probability": 0.2}


def test_a_game_on_text_with_silences_writes_phones_alone(tmp_path: Path) -> None:
    """Its generator has an output more; what it writes, names and is judged by has none."""
    spoken = [["<SIL>", *s, "<SIL>"] for s in language(sum(SIZES.values()), seed=1)]
    world = World(tmp_path, speech=spoken, heard=[*PHONES, "<SIL>"])
    world.play("w2vu", gan={"text_silence": SILENCE}, generator_learning_rate=0.02)
    gan = world.at("gan")
    assert json.loads((gan / "generator.json").read_text("utf-8"))["shape"]["num_phones"] == 11
    posteriors = RaggedArray.open(gan / "posteriors" / "test").values_array
    assert posteriors.shape[1] == 11
    assert 0 < np.mean(posteriors.argmax(axis=1) == 10) < 1  # some segments are silent
    for array in ("wrote/0", "labels/train"):
        assert set(np.unique(RaggedArray.open(gan / array).values_array)) <= set(range(10))
    phones = {p for h in read_hypotheses(gan / "hypotheses" / "test.tsv") for p in h.phones}
    assert phones <= set(PHONES)
    (member,) = json.loads((gan / "gan.json").read_text("utf-8"))["members"]
    criterion = json.loads((gan / "criterion.json").read_text("utf-8"))
    assert member["weighted_lm_perplexity"] == pytest.approx(criterion["weighted"])


@pytest.mark.parametrize(
    ("preset", "phones", "message"),
    [
        ("w2vu_from_matching", None, "gan.text_silence and gan.start are both given"),
        ("w2vu", [*PHONES, "sil"], "the text has sil among its phones already"),
    ],
)
def test_silence_that_the_game_cannot_have_is_refused(
    preset: str, phones: list[str] | None, message: str, tmp_path: Path
) -> None:
    text = with_pauses(language(300, seed=0), 0.2, seed=3) if phones else None
    with pytest.raises(ValueError, match=message):
        World(tmp_path, phones=phones, text=text).play(preset, gan={"text_silence": SILENCE})


def test_segments_may_be_the_frames_themselves(tmp_path: Path) -> None:
    world = World(tmp_path)
    for name in ("units/pooled", "segments/boundaries"):
        shutil.rmtree(world.at(name))
    for split in SIZES:
        acoustic = RaggedArray.open(world.at("features") / "acoustic" / split)
        with (
            RaggedWriter(world.at("features") / "cluster" / split, dtype="float16") as frames,
            RaggedWriter(world.at("segments") / "boundaries" / split, dtype="int32") as edges,
        ):
            for i, rows in acoustic.items():
                frames.append(i, rows)
                edges.append(i, np.arange(len(rows) + 1))
    world.play("w2vu", gan={"decode_stride": 2}, generator_stride=3)
    labels = RaggedArray.open(world.at("gan") / "labels" / "train")
    assert len(labels["train0"]) == 12 * NUM_FRAMES
    posteriors = RaggedArray.open(world.at("gan") / "posteriors" / "test")
    pairs = posteriors["test0"].reshape(12 * NUM_FRAMES // 2, 2, 10)
    np.testing.assert_array_equal(pairs[:, 0], pairs[:, 1])  # an output every two frames
    assert (pairs[:-1, 0] != pairs[1:, 0]).any(axis=1).all()
    edges = world.at("segments") / "boundaries" / "test"
    shutil.rmtree(edges)
    with RaggedWriter(edges, dtype="int32") as writer:
        for i, rows in RaggedArray.open(world.at("features") / "cluster" / "test").items():
            writer.append(i, np.array([0, len(rows)]))
    shutil.rmtree(world.at("gan"))
    with pytest.raises(ValueError, match=r"segmentation\.pooling is null, and segments have more"):
        world.play("w2vu")
