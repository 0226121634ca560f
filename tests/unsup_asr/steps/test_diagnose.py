"""Why a run may have failed, from what its stages left."""

import json
from pathlib import Path

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf

from lm.ngram import NgramEstimator
from unsup_asr.engine.artifacts import Artifact
from unsup_asr.engine.recipe_files import GROUPS
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.hypotheses import write_hypotheses
from unsup_asr.formats.phone_text import write_phone_sentences
from unsup_asr.formats.ragged import RaggedWriter
from unsup_asr.report.signs import read_findings, read_signs
from unsup_asr.speech.timing import write_timing
from unsup_asr.steps.criterion import text_perplexity
from unsup_asr.steps.diagnose import run_diagnosis
from unsup_asr.types import FrameTiming, Hypothesis

STEPS = np.random.default_rng(0).choice([1, 2], p=[0.8, 0.2], size=(60, 12))
SENTENCES = [["abcd"[i] for i in walk] for walk in STEPS.cumsum(1) % 4]


class Run:
    """A run that ended with what was said; criteria of its stages in perplexities of the text.

    `wrong`: the share of the phones that a stage drew at random instead.
    """

    def __init__(
        self, folder: Path, ratios: dict[str, float], *, wrong: dict[str, float] | None = None
    ) -> None:
        text, model, features = (folder / name for name in ("text", "language_model", "features"))
        for path in (text, model, features):
            path.mkdir()
        (text / "inventory.json").write_text(json.dumps({"phones": list("abcd")}), "utf-8")
        write_phone_sentences(text / "phones.txt", [[tuple(s)] for s in SENTENCES])
        NgramEstimator(order=3).estimate_to(model / "phones.arpa", SENTENCES)
        groups = {"gan": "w2vu_from_matching", "language_model": "kneser_ney"}
        config = OmegaConf.merge(
            {"seed": 0},
            {group: OmegaConf.load(GROUPS / group / f"{n}.yaml") for group, n in groups.items()},
        )
        assert isinstance(config, DictConfig)
        write_timing(features / "timing.json", FrameTiming(0.01, 0.0))
        with RaggedWriter(features / "kept" / "train", dtype="int32") as kept:
            for i in range(len(SENTENCES)):
                kept.append(f"u{i}", np.arange(150))
        self.systems = tuple(ratios)
        names = ("text", "language_model", "features", "choice", "model", *ratios)
        inputs = {n: Artifact(n, folder / n, reads_references=True) for n in names}
        self.context = StageContext("diagnosis", folder, config, 0, inputs)
        of_text = text_perplexity(self.context)
        for stage, ratio in {**ratios, "choice": 0.0, "model": 0.0}.items():
            (folder / stage).mkdir()
            criterion = json.dumps({"weighted": ratio * of_text})
            (folder / stage / "criterion.json").write_text(criterion, "utf-8")
        for stage in ratios:
            rng, share = np.random.default_rng(1), (wrong or {}).get(stage, 0.0)
            hypotheses = [
                Hypothesis(f"u{i}", tuple(_drawn(p, share, rng) for p in sentence))
                for i, sentence in enumerate(SENTENCES)
            ]
            write_hypotheses(folder / stage / "hypotheses" / "train.tsv", hypotheses)
        if "gan" in ratios:
            self._played()

    def _played(self) -> None:
        """A game with one member, which wrote what was said."""
        gan = self.context.input("gan").file("criterion.json").parent
        game = {"members": [{"history": []}], "chosen": 0}
        (gan / "gan.json").write_text(json.dumps(game), "utf-8")
        with RaggedWriter(gan / "wrote" / "0", dtype="int32") as writer:
            for i, sentence in enumerate(SENTENCES):
                writer.append(f"u{i}", np.array(["abcd".index(phone) for phone in sentence]))

    def diagnosis(self, chosen: str = "", *, realigned: str = "") -> list[str]:
        for stage, choice in (("choice", chosen), ("model", "self_training_2")):
            path = self.context.input(stage).file("criterion.json").with_name("choice.json")
            path.write_text(json.dumps({"chosen": choice}), "utf-8")
        run_diagnosis(
            self.context,
            realigned=[realigned] if realigned else [],
            systems=self.systems,
            segments_of={},
        )
        return [f.message for f in read_findings(self.context.out / "diagnosis.json")]


def _drawn(phone: str, share: float, rng: np.random.Generator) -> str:
    return "abcd"[rng.integers(4)] if rng.random() < share else phone


GOOD = {
    "matching": 11.0,
    "gan": 7.5,
    "realign_1": 9.0,
    "realign_8": 3.0,
    "self_training_2": 1.5,
}


def test_a_run_that_learned_has_nothing_to_explain(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert Run(tmp_path, GOOD).diagnosis("gan", realigned="realign_8") == []
    assert caplog.messages == []


WRONG = {"realign_8": 0.5, "self_training_2": 0.6}


def test_a_model_of_wrong_labels_does_not_hide_behind_a_low_criterion(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As Vietnamese ended: 162, 61, 55 and 26 where the text has 8.6."""
    failed = {"matching": 18.8, "gan": 8.1, "realign_8": 11.4, "self_training_2": 2.99}
    found = Run(tmp_path, GOOD | failed, wrong=WRONG).diagnosis(realigned="realign_8")
    assert [message[:22] for message in found] == [
        "what matching hears ha",
        "in the game, what gan ",
        "what realign_8 hears h",
        "pairs of phones that r",
        "pairs of phones that s",
        "self_training_2 writes",
    ]
    assert "18.8 times (at most 15 where learning succeeds)" in found[0]
    assert "start=spoken_text" in found[0]
    assert "11.4 times (at most 11" in found[2]
    assert "(at most 0.03 where learning succeeds)" in found[3]
    assert "(at most 0.05 where learning succeeds)" in found[4]
    assert caplog.messages == [
        f"6 signs that this run may have failed, the first: {found[0]}. `unsup-asr diagnose` says "
        "what to do next"
    ]


def test_a_run_that_is_told_by_its_outputs_alone_has_failed(tmp_path: Path) -> None:
    """As Mandarin ended: no perplexity was too high."""
    found = Run(tmp_path, GOOD, wrong=WRONG).diagnosis("gan", realigned="realign_8")
    assert [message.split()[0] for message in found] == ["pairs", "pairs", "self_training_2"]


def test_perplexities_alone_do_not_fail_a_run(tmp_path: Path) -> None:
    """Little speech: good runs had up to 9.4 times in the game, 9.2 in realignment, 5.9 at last."""
    high = {"matching": 20.0, "gan": 9.4, "realign_8": 9.2, "self_training_2": 5.9}
    assert Run(tmp_path, GOOD | high).diagnosis("gan", realigned="realign_8") == []


def test_the_last_iteration_of_an_hmm_counts(tmp_path: Path) -> None:
    ratios = {"matching": 11.0, "gan": 7.5, "hmm_1": 5.0, "hmm_2": 4.5, "self_training_2": 1.5}
    found = Run(tmp_path, ratios, wrong={"hmm_2": 0.5}).diagnosis("gan", realigned="hmm_2")
    assert [message.split(" hears")[0] for message in found[:1]] == ["what hmm_2"]
    assert found[1].startswith("pairs of phones that hmm_2 writes")
    (tmp_path / "other").mkdir()
    first = Run(tmp_path / "other", ratios, wrong={"hmm_1": 0.5})
    assert first.diagnosis("gan", realigned="hmm_2") == []


def test_a_run_from_spoken_text_has_a_diagnosis_too(tmp_path: Path) -> None:
    of_model = {"self_training_2": 0.5}
    cause, found = Run(tmp_path, {"self_training_2": 7.0}, wrong=of_model).diagnosis()
    assert "7.0 times (at most 3 where learning succeeds)" in cause
    assert found.startswith("pairs of phones that self_training_2 writes")


def test_signs_of_every_system_lie_beside_the_diagnosis(tmp_path: Path) -> None:
    run = Run(tmp_path, GOOD)
    run.diagnosis("gan", realigned="realign_8")
    signs = read_signs(tmp_path / "signs.json")
    assert list(signs) == ["text", *GOOD]
    assert signs["matching"].perplexity == pytest.approx(11 * signs["text"].perplexity)
    assert signs["gan"].phones_per_second == pytest.approx(12 / 1.5)
    assert signs["gan"].edits_from_final == 0
    (tmp_path / "signs.json").write_text('{"text": {}}')
    with pytest.raises(ValueError, match=r"signs\.json: not the signs of a run .*run `diagnosis`"):
        read_signs(tmp_path / "signs.json")
