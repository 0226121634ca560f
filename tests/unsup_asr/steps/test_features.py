"""What stage `features` writes of a small corpus of recordings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

import unsup_asr
from unsup_asr.corpora.synthetic import SyntheticCorpus
from unsup_asr.engine.artifacts import Artifact
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.ragged import RaggedArray
from unsup_asr.formats.warps import Warps
from unsup_asr.protocols import UpstreamOutput
from unsup_asr.steps.features import run_features
from unsup_asr.steps.hearing import of_one_vocal_tract
from unsup_asr.upstreams.kaldi_features import KaldiMFCC
from unsup_asr.upstreams.normalise import weigh_deltas

MFCC = Path(unsup_asr.__file__).parent / "conf" / "features" / "mfcc.yaml"
# Men and women in training; dev has another woman and test another man.
VOICES = {"train": ["m1", "m3", "f1", "f3"], "dev": ["f2"], "test": ["m8"]}


class NotWarpable:
    """The same features, of which nobody knows how other voices have them."""

    def __init__(self) -> None:
        self._mfcc = KaldiMFCC()
        for name in ("sample_rate", "frame_shift_samples", "first_centre_s", "num_layers", "dim"):
            setattr(self, name, getattr(self._mfcc, name))

    def encode(self, waves_BN: torch.Tensor, lengths_B: torch.Tensor) -> UpstreamOutput:
        return self._mfcc.encode(waves_BN, lengths_B)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    SyntheticCorpus(
        num_train_utterances=12,
        num_dev_utterances=2,
        num_test_utterances=2,
        num_text_sentences=5,
        vocabulary_size=200,
        **{f"{split}_variants": voices for split, voices in VOICES.items()},  # type: ignore[arg-type]
    ).build(folder)
    return folder


def features_of(corpus: Path, out: Path, **options: object) -> Path:
    config = OmegaConf.create({"seed": 0, "runtime": {"num_threads": 1}})
    config.features = OmegaConf.merge(OmegaConf.load(MFCC), options)
    context = StageContext(
        "features", out, config, 0, {"corpus": Artifact("corpus", corpus, reads_references=False)}
    )
    run_features(context)
    return out


def frames(out: Path, name: str, split: str) -> dict[str, np.ndarray]:
    return {i: np.array(x) for i, x in RaggedArray.open(out / name / split).items()}


def test_speakers_are_made_alike_for_clusters_and_stay_as_they_are_beside_them(
    corpus: Path, tmp_path: Path
) -> None:
    out = features_of(corpus, tmp_path / "usual")
    plain = features_of(corpus, tmp_path / "plain", vocal_tract=None)
    factors = json.loads((out / "vocal_tracts.json").read_text("utf-8"))
    assert set(factors) == {who for voices in VOICES.values() for who in voices}
    assert max(factors["f1"], factors["f3"]) < 1 < min(factors["m1"], factors["m3"])
    assert factors["f2"] < 1 < factors["m8"]
    warps = Warps.read(out / "warps")
    for split, (who, *_) in VOICES.items():
        usual = frames(out, "cluster", split)
        for i, acoustic_TE in frames(plain, "acoustic", split).items():
            np.testing.assert_array_equal(frames(out, "acoustic", split)[i], acoustic_TE)
            clustered = frames(plain, "cluster", split)[i]
            weighted = weigh_deltas(acoustic_TE)
            np.testing.assert_array_equal(clustered[:, : weighted.shape[1]], weighted)
            if f"-{who}-" in i:
                warp = int(np.abs(warps.factors_W - factors[who]).argmin())
                expected = weigh_deltas(warps.of(acoustic_TE, warp))
                found = usual[i][:, : weighted.shape[1]]
                np.testing.assert_allclose(found, expected, atol=1e-5)
                assert np.abs(usual[i] - clustered)[:, weighted.shape[1] :].max() > 0.1
    assert not (plain / "vocal_tracts.json").exists()


def test_realignment_hears_speakers_of_one_vocal_tract(corpus: Path, tmp_path: Path) -> None:
    out = features_of(corpus, tmp_path / "usual")
    plain = features_of(corpus, tmp_path / "plain", vocal_tract=None)
    factors = json.loads((out / "vocal_tracts.json").read_text("utf-8"))
    warps = Warps.read(out / "warps")
    for split in VOICES:
        heard = of_one_vocal_tract(hearing(corpus, out), split)
        as_they_are = of_one_vocal_tract(hearing(corpus, plain), split)
        acoustic = frames(out, "acoustic", split)
        assert list(heard) == list(as_they_are) == list(acoustic)
        for i, acoustic_TE in acoustic.items():
            who = next(who for who in factors if f"-{who}-" in i)
            warp = int(np.abs(warps.factors_W - factors[who]).argmin())
            np.testing.assert_allclose(heard[i], warps.of(acoustic_TE, warp), atol=1e-5)
            np.testing.assert_array_equal(as_they_are[i], acoustic_TE)


def hearing(corpus: Path, features: Path) -> StageContext:
    """A stage that reads the features."""
    given = {"corpus": corpus, "features": features}
    artifacts = {name: Artifact(name, at, reads_references=False) for name, at in given.items()}
    return StageContext("realign_1", features, OmegaConf.create({"seed": 0}), 0, artifacts)


def test_an_upstream_without_a_warp_is_clustered_as_it_is(
    corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    upstream = {"_target_": f"{__name__}.NotWarpable"}
    with caplog.at_level("INFO"):
        out = features_of(corpus, tmp_path / "other", upstream=upstream)
    plain = features_of(corpus, tmp_path / "plain", vocal_tract=None)
    for i, clustered in frames(plain, "cluster", "train").items():
        np.testing.assert_array_equal(frames(out, "cluster", "train")[i], clustered)
    assert not (out / "warps").exists()
    assert "NotWarpable has no warp: speakers are clustered as they are" in caplog.text
