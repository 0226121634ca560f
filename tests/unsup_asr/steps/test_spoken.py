"""The spoken text keeps its phones, however many sentences a voice says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from omegaconf import OmegaConf

from unsup_asr.corpora.spoken_text import SpokenSentence
from unsup_asr.formats.ragged import RaggedArray
from unsup_asr.steps import spoken
from unsup_asr.steps.spoken import run_spoken_text

NUM_SENTENCES = 10_050


@dataclass(kw_only=True)
class OneVoice:
    """Says one sentence in 0.1 s and the other in 0.2 s, in turns."""

    num_voices: int = 1

    def speak(self, sentences: Sequence[str]) -> Iterator[list[SpokenSentence]]:
        assert sentences == ["short", "long"]
        samples = [np.random.default_rng(i).normal(0, 0.1, 1600 * (i + 1)) for i in range(2)]
        yield [
            SpokenSentence(i % 2, samples[i % 2].astype(np.float32), ("a",), np.zeros(1))
            for i in range(NUM_SENTENCES)
        ]


def test_every_sentence_has_its_own_phones_above_ten_thousand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def frames(
        samples_N: np.ndarray, *_: object, cut_from: str
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """As many frames of noise as the audio has, without the time that MFCC take."""
        assert cut_from == "frames"
        num_frames = len(samples_N) // 160
        return [samples_N[: 13 * num_frames].reshape(num_frames, 13)], np.arange(num_frames)

    monkeypatch.setattr(spoken, "trimmed_features", frames)
    monkeypatch.setattr(spoken, "of_one_speaker", lambda x, _: x)
    text = tmp_path / "text"
    text.mkdir()
    (text / "inventory.json").write_text(json.dumps({"phones": ["a", "b"]}), "utf-8")
    (text / "phones.txt").write_text("a b\na\nb b\n", "utf-8")
    (text / "written.txt").write_text("\nshort\nlong\n", "utf-8")  # one cannot be said
    config = {
        "start": {"spoken_text": {"_target_": f"{__name__}.OneVoice"}},
        "features": {
            "upstream": {"_target_": "unsup_asr.upstreams.kaldi_features.KaldiMFCC"},
            "silence": {"_target_": "segmentation.silence.EnergySilence", "max_run_frames": 10**6},
        },
    }
    context = SimpleNamespace(
        out=tmp_path,
        config=OmegaConf.create(config),
        artifacts={},
        num_threads=2,
        input=lambda stage: SimpleNamespace(file=lambda name: tmp_path / stage / name),
    )
    run_spoken_text(context)  # type: ignore[arg-type]
    features = RaggedArray.open(tmp_path / "acoustic" / "train")
    said = RaggedArray.open(tmp_path / "phones" / "train")
    assert len(features) == NUM_SENTENCES
    assert all((len(features[i]) > 12) == (len(said[i]) == 2) for i in features)
