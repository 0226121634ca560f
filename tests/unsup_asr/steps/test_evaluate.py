import json
from pathlib import Path

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf

from lm.ngram import NgramEstimator
from unsup_asr.engine.artifacts import Artifact
from unsup_asr.engine.config import GROUPS
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.phone_text import write_phone_sentences
from unsup_asr.steps.criterion import text_perplexity
from unsup_asr.steps.diagnose import diagnose
from unsup_asr.steps.evaluate import add_unheard, divergences
from unsup_asr.types import Hypothesis

TEXT = [["a", "b", "a", "b", "c"]]


def test_a_run_that_writes_next_to_nothing_is_still_reported() -> None:
    assert list(divergences(TEXT, [["a", "b"], []])) == [1, 2]
    assert divergences(TEXT, [[], []]) == {}


def test_equal_sequences_do_not_diverge() -> None:
    assert divergences(TEXT, TEXT) == pytest.approx({1: 0.0, 2: 0.0, 3: 0.0, 4: 0.0})


def test_utterances_too_short_for_segments_are_empty_once_and_nothing_else_is_mended() -> None:
    """The SUPERB recipe reads whole utterances, so it may have heard what segments have not."""
    hypotheses = {
        "matching": [Hypothesis("u1", ("a",)), Hypothesis("u3", ("a",))],
        "superb": [Hypothesis("u1", ("b",)), Hypothesis("u2", ("b",))],
        "self_training_1": [Hypothesis("u1", ("c",)), Hypothesis("u3", ("c",))],
    }
    add_unheard(hypotheses, ["u1", "u2", "u3"])
    found = {name: {h.utterance_id: h.phones for h in hs} for name, hs in hypotheses.items()}
    assert found["matching"] == {"u1": ("a",), "u3": ("a",), "u2": ()}
    assert found["superb"] == {"u1": ("b",), "u2": ("b",)}  # u3 is missing: scoring says so
    assert found["self_training_1"]["u2"] == ()
    assert [len(hs) for hs in hypotheses.values()] == [3, 2, 3]


STEPS = np.random.default_rng(0).choice([1, 2], p=[0.8, 0.2], size=(60, 12))
SENTENCES = [["abcd"[i] for i in walk] for walk in STEPS.cumsum(1) % 4]


class Run:
    """A run that ended with what was said; criteria of its stages in perplexities of the text."""

    def __init__(self, folder: Path, ratios: dict[str, float], game: list[str]) -> None:
        text, model = folder / "text", folder / "language_model"
        for path in (text, model):
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
        names = ("text", "language_model", *ratios)
        inputs = {n: Artifact(n, folder / n, reads_references=True) for n in names}
        self.context = StageContext("evaluate", folder, config, 0, inputs)
        of_text = text_perplexity(self.context)
        for stage, ratio in ratios.items():
            (folder / stage).mkdir()
            criterion = json.dumps({"weighted": ratio * of_text})
            (folder / stage / "criterion.json").write_text(criterion, "utf-8")
        if "gan" in ratios:
            (folder / "gan" / "gan.json").write_text(json.dumps({"findings": game}), "utf-8")

    def diagnosis(self, *chosen: str) -> tuple[str, ...]:
        return diagnose(self.context, "self_training_2", SENTENCES, SENTENCES, chosen)


GOOD = {
    "matching": 11.0,
    "gan": 7.5,
    "realign_1": 9.0,
    "realign_8": 3.0,
    "self_training_2": 1.5,
}


def test_a_run_that_learned_has_nothing_to_explain(tmp_path: Path) -> None:
    assert Run(tmp_path, GOOD, []).diagnosis("gan", "self_training_2") == ()


def test_a_model_of_wrong_labels_does_not_hide_behind_a_low_criterion(tmp_path: Path) -> None:
    """As Vietnamese ended: 162, 61, 55 and 26 where the text has 8.6."""
    failed = {"matching": 18.8, "gan": 7.1, "realign_8": 6.4, "self_training_2": 2.99}
    found = Run(tmp_path, GOOD | failed, ["a finding"]).diagnosis("self_training_2")
    assert [message[:22] for message in found] == [
        "what matching hears ha",
        "in the game, a finding",
        "what realign_8 hears h",
    ]
    assert "18.8 times (at most 15 where learning succeeds)" in found[0]
    assert "start=spoken_text" in found[0]
    assert "6.4 times (at most 3.8" in found[2]


def test_a_start_that_was_mended_is_not_blamed(tmp_path: Path) -> None:
    run = Run(tmp_path, GOOD | {"matching": 20.0}, ["a finding"])
    assert run.diagnosis("self_training_2") == ()
    assert run.diagnosis("gan") == ("in the game, a finding",)
    (found,) = run.diagnosis("matching")
    assert found.startswith("what matching hears has a weighted perplexity of")


def test_the_last_iteration_of_an_hmm_counts(tmp_path: Path) -> None:
    ratios = {"matching": 11.0, "gan": 7.5, "hmm_1": 5.0, "hmm_2": 4.5, "self_training_2": 1.5}
    found = Run(tmp_path, ratios, []).diagnosis("gan")
    assert [message.split(" hears")[0] for message in found] == ["what hmm_2"]


def test_a_run_from_spoken_text_has_a_diagnosis_too(tmp_path: Path) -> None:
    (found,) = Run(tmp_path, {"self_training_2": 7.0}, []).diagnosis("self_training_2")
    assert "7.0 times (at most 3 where learning succeeds)" in found
