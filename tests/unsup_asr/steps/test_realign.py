"""Realignment where speech has pauses: their frames are no phone's."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from lm.ngram import NgramEstimator
from unsup_asr.engine.artifacts import Artifact
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.hypotheses import read_hypotheses
from unsup_asr.formats.phone_text import write_phone_sentences
from unsup_asr.formats.ragged import RaggedArray, RaggedWriter
from unsup_asr.steps import realign
from unsup_asr.types import SPLITS

PHONES = "abcd"
PAUSE = len(PHONES)
WORDS = ["ab", "cad", "dab", "abc", "bd"]
CONFIG = {
    "seed": 0,
    "runtime": {"num_threads": 1, "processes": 1},
    "features": {
        "silence": {"_target_": "segmentation.silence.EnergySilence", "keep_frames": 8},
    },
    "realign": {
        "prior_scale": 1.0,
        "pauses": {"_target_": "unsup_asr.speech.pauses.Pauses"},
        "training": {
            "_target_": "unsup_asr.acoustic.training.NetworkTraining",
            "hidden": 16,
            "kernel": 1,
            "epochs": 8,
            "batch_size": 2,
            "learning_rate": 0.02,
        },
        "aligner": {"_target_": "lm.lexicon_viterbi.LexiconViterbi"},
    },
    "language_model": {"scorer": {"_target_": "lm.perplexity.PerplexityScorer"}},
}


def spoken(folder: Path, *, cut: bool) -> tuple[dict[str, Artifact], dict[str, list[str]]]:
    """Words in noisy one-hot frames, six a phone, a pause of eight frames of another sound behind
    each second word; what matching makes of it takes pauses for the phone before. And what is said.
    """
    rng = np.random.default_rng(0)
    text = folder / "text"
    text.mkdir(parents=True)
    (text / "inventory.json").write_text(json.dumps({"phones": list(PHONES)}), "utf-8")
    sentences = [[WORDS[k] for k in rng.integers(0, len(WORDS), 4)] for _ in range(60)]
    write_phone_sentences(text / "phones.txt", [[tuple(w) for w in s] for s in sentences])
    features = folder / "features"
    features.mkdir()
    timing = json.dumps({"frame_shift_s": 0.01, "first_centre_s": 0.0125})
    (features / "timing.json").write_text(timing, "utf-8")
    said: dict[str, list[str]] = {}
    for split in SPLITS:
        with (
            RaggedWriter(features / "acoustic" / split) as acoustic,
            RaggedWriter(features / "kept" / split, dtype="int32") as kept_frames,
            RaggedWriter(folder / "choice" / "labels" / split, dtype="int32") as labels,
        ):
            for number in range(30):
                sounds: list[int] = []
                times: list[int] = []
                now, words = 0, sentences[rng.integers(len(sentences))]
                for place, word in enumerate(words):
                    phones = [PHONES.index(p) for p in word for _ in range(6)]
                    times += range(now, now + len(phones))
                    now += len(phones)
                    sounds += phones
                    if place % 2:
                        times += [*range(now, now + 4), *range(now + 30, now + 34)]
                        now += 34
                        sounds += [PAUSE] * 8
                heard = np.array(sounds, np.int32)
                named = heard.copy()
                for t in np.flatnonzero(heard == PAUSE):
                    named[t] = named[t - 1]
                utterance_id = f"{split}{number}"
                frames_TD = np.eye(len(PHONES) + 1)[heard] + rng.normal(0, 0.3, (len(heard), 5))
                acoustic.append(utterance_id, frames_TD)
                kept = np.array(times) if cut else np.arange(len(times))
                kept_frames.append(utterance_id, kept)
                labels.append(utterance_id, named)
                said[utterance_id] = list("".join(words))
    (folder / "language_model").mkdir()
    arpa = folder / "language_model" / "phones.arpa"
    NgramEstimator(order=2).estimate_to(arpa, [list("".join(s)) for s in sentences])
    return {path.name: Artifact(path.name, path, False) for path in folder.iterdir()}, said


def realigned(folder: Path, *, cut: bool = True, **options: object) -> tuple[Path, dict]:
    inputs, said = spoken(folder / "inputs", cut=cut)
    config = OmegaConf.create(CONFIG)
    config.realign = OmegaConf.merge(config.realign, options)
    out = folder / "realign_1"
    out.mkdir()
    realign.run_realign(StageContext("realign_1", out, config, 0, inputs), labels_from="choice")
    return out, said


def wrong(out: Path, said: dict[str, list[str]]) -> int:
    """Utterances of the test split that are not what was said."""
    found = read_hypotheses(out / "hypotheses" / "test.tsv")
    return sum(list(hypothesis.phones) != said[hypothesis.utterance_id] for hypothesis in found)


def test_pauses_are_found_and_are_no_phones(tmp_path: Path) -> None:
    out, said = realigned(tmp_path)
    assert wrong(out, said) <= 3
    labels = RaggedArray.open(out / "labels" / "train")
    frames = RaggedArray.open(tmp_path / "inputs" / "features" / "acoustic" / "train")
    found, there = (np.concatenate([np.array(x[i]) for i in frames]) for x in (labels, frames))
    is_pause_T = there.argmax(1) == PAUSE
    assert np.mean((found == PAUSE) == is_pause_T) > 0.9
    first = read_hypotheses(out / "hypotheses" / "train.tsv")[0]
    assert set(first.phones) <= set(PHONES)
    assert all(a < b for a, b in zip(first.starts_s, first.ends_s, strict=True))


def test_without_a_class_of_their_own_pauses_are_taken_for_phones(tmp_path: Path) -> None:
    out, said = realigned(tmp_path, pauses=None)
    assert wrong(out, said) > 8
    labels = RaggedArray.open(out / "labels" / "train")
    assert max(int(np.array(labels[i]).max()) for i in labels) < PAUSE


def test_where_nothing_was_cut_pauses_are_no_class(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        out, _ = realigned(tmp_path, cut=False)
    assert json.loads((out / "network.json").read_text("utf-8"))["num_outputs"] == len(PHONES)
    assert "0 frames are left of pauses that were cut: pauses are no class" in caplog.text
