"""Segments of spoken text are counted for the phones that they are of."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from omegaconf import OmegaConf

from unsup_asr.formats.ragged import RaggedArray
from unsup_asr.speech.espeak import Espeak
from unsup_asr.steps.spoken_segments import (
    phone_of_frames,
    run_spoken_segments,
    segments_of_phones,
)

SENTENCES = ["good morning to you", "the cat sat on the table", "where do we go this summer"]


def run(out: Path, *, inventory: list[str], segments_per_phone: float = 1.05) -> None:
    text = out / "text"
    text.mkdir(parents=True)
    (text / "inventory.json").write_text(json.dumps({"phones": inventory}), "utf-8")
    (text / "written.txt").write_text("\n".join(SENTENCES) + "\n\n", "utf-8")
    spoken_text = {
        "_target_": "unsup_asr.corpora.spoken_text.SpokenText",
        **{"language": "en-us", "num_voices": 2, "sentences_a_voice": 4, "min_snr_db": 40.0},
    }
    config = {
        "matching": {"spoken_text": spoken_text},
        "features": {
            "boundary_upstream": {"_target_": "unsup_asr.upstreams.kaldi_features.KaldiFbank"},
            "silence": {"_target_": "segmentation.silence.EnergySilence"},
        },
        "segmentation": {
            "segmenter": {"_target_": "segmentation.change_peaks.MultiScalePeaks"},
            "segments_per_phone": segments_per_phone,
        },
    }
    context = SimpleNamespace(
        out=out,
        config=OmegaConf.create(config),
        input=lambda stage: SimpleNamespace(file=lambda name: out / stage / name),
    )
    run_spoken_segments(context)  # type: ignore[arg-type]


def english() -> list[str]:
    espeak = Espeak()
    return sorted({p for s in SENTENCES for p in espeak.speak(s, voice="en-us").phones})


def numbers(out: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    phones, counts = (RaggedArray.open(out / name / "train") for name in ("phones", "num_segments"))
    assert list(phones) == list(counts)
    return [(np.array(phones[i]), np.array(counts[i])) for i in phones]


def test_spoken_sentences_have_the_rate_asked_for_and_a_number_for_each_phone(
    tmp_path: Path,
) -> None:
    for name, rate in (("few", 0.8), ("many", 1.3)):
        run(tmp_path / name, inventory=english(), segments_per_phone=rate)
        found = numbers(tmp_path / name)
        assert len(found) == 8
        for phones, counts in found:
            assert len(phones) == len(counts)
            assert np.all(phones[1:] != phones[:-1])
        summary = json.loads((tmp_path / name / "spoken_segments.json").read_text("utf-8"))
        assert summary["segments_per_phone"] == pytest.approx(rate, abs=0.1)
        assert summary["unknown_phones"] == 0
        total = sum(counts.sum() for _, counts in found)
        assert total / summary["phones"] == pytest.approx(rate, abs=0.1)
        assert not (tmp_path / name / "scratch").exists()


def test_phones_have_their_own_habits(tmp_path: Path) -> None:
    """A long vowel or diphthong is not left out as often as the phones are on average."""
    inventory = english()
    run(tmp_path, inventory=inventory)
    said = np.concatenate([phones for phones, _ in numbers(tmp_path)])
    counts = np.concatenate([counts for _, counts in numbers(tmp_path)])
    is_long = np.isin(said, [i for i, p in enumerate(inventory) if p in ("eɪ", "oʊ", "ɔ", "u")])
    assert np.mean(counts[is_long] == 0) < np.mean(counts == 0)


def test_phones_of_another_inventory_are_refused_and_a_rare_one_is_none_of_its(
    tmp_path: Path,
) -> None:
    with pytest.raises(ValueError, match=r"of the \d+ phones that espeak-ng spoke are not in"):
        run(tmp_path / "other", inventory=["X", "Y"])
    known = [p for p in english() if p != "k"]
    run(tmp_path / "rare", inventory=known)
    assert max(x.max() for x, _ in numbers(tmp_path / "rare")) == len(known)
    summary = json.loads((tmp_path / "rare" / "spoken_segments.json").read_text("utf-8"))
    assert 0 < summary["unknown_phones"] < summary["phones"] / 10


def test_a_segment_is_of_the_phone_that_most_of_its_frames_are() -> None:
    centres_T = np.array([0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06])
    phone_T = phone_of_frames(centres_T, np.array([0.005, 0.025, 0.028, 0.045]))
    np.testing.assert_array_equal(phone_T, [0, 0, 0, 2, 2, 3, 3])
    found = segments_of_phones(np.array([0, 2, 5, 6, 7], np.int32), phone_T, num_phones=4)
    np.testing.assert_array_equal(found, [1, 0, 1, 2])
