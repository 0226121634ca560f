"""Auxiliary classes are clusters of MFCC at the times of the frames that were kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile
import torch
from omegaconf import OmegaConf

from segmentation.kmeans import KMeans
from unsup_asr.engine.artifacts import Artifact
from unsup_asr.engine.recipe_files import GROUPS
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.manifest import write_manifest
from unsup_asr.formats.ragged import RaggedArray, RaggedWriter
from unsup_asr.steps.auxiliary import nearest_frames, run_auxiliary
from unsup_asr.types import FrameTiming, Utterance
from unsup_asr.upstreams.kaldi_features import KaldiMFCC
from unsup_asr.upstreams.normalise import add_deltas

KEPT = {"u0": [0, 1, 2, 9, 10, 24], "u1": [3, 4, 5, 6]}


def test_a_frame_of_wav2vec_is_every_second_one_of_mfcc() -> None:
    wav2vec, mfcc = FrameTiming(0.02, 0.0125), FrameTiming(0.01, 0.0125)
    kept = np.array([0, 4, 6], dtype=np.int32)
    assert nearest_frames(kept, wav2vec, mfcc).tolist() == [0, 8, 12]
    assert nearest_frames(kept, mfcc, wav2vec).tolist() == [0, 2, 3]


def context_of(folder: Path, options: dict) -> StageContext:
    rng, utterances = np.random.default_rng(0), []
    with (
        RaggedWriter(folder / "features" / "kept" / "train", dtype="int32") as kept,
        RaggedWriter(folder / "features" / "acoustic" / "train") as acoustic,
    ):
        for number, (i, frames) in enumerate(KEPT.items()):
            path = folder / f"{i}.wav"
            tones = np.sin(np.arange(8400) * rng.uniform(0.02, 1.5, 21).repeat(400))
            soundfile.write(path, 0.3 * tones, 16000, subtype="FLOAT")
            utterances.append(Utterance(i, str(path), "s", 8400 / 16000))
            kept.append(i, np.array(frames))
            acoustic.append(i, np.eye(4, dtype=np.float32)[(np.arange(len(frames)) + number) % 2])
    timing = json.dumps({"frame_shift_s": 0.02, "first_centre_s": 0.0125})
    (folder / "features" / "timing.json").write_text(timing, "utf-8")
    (folder / "corpus").mkdir()
    write_manifest(folder / "corpus" / "train.jsonl", utterances)
    preset = OmegaConf.load(GROUPS / "gan" / "w2vu2.yaml")
    config = OmegaConf.merge(
        {"seed": 0, "runtime": {"num_threads": 1}, "gan": preset}, {"gan": options}
    )
    inputs = {n: Artifact(n, folder / n, reads_references=False) for n in ("corpus", "features")}
    (folder / "out").mkdir()
    return StageContext("auxiliary", folder / "out", config, 0, inputs)  # type: ignore[arg-type]


def test_classes_are_clusters_of_mfcc_with_deltas(tmp_path: Path) -> None:
    run_auxiliary(context_of(tmp_path, {"auxiliary_clusterer": {"num_clusters": 4}}))
    targets = RaggedArray.open(tmp_path / "out" / "targets" / "train")
    assert {i: len(targets[i]) for i in targets} == {i: len(k) for i, k in KEPT.items()}
    assert not (tmp_path / "out" / "scratch").exists()
    kmeans = KMeans(num_clusters=4)
    kmeans.load(tmp_path / "out" / "model")
    for i, frames in KEPT.items():
        samples, _ = soundfile.read(tmp_path / f"{i}.wav", dtype="float32")
        wave = torch.from_numpy(samples)[None]
        mfcc = KaldiMFCC().encode(wave, torch.tensor([len(samples)])).layers_BTD[0][0].numpy()
        rows = add_deltas(mfcc, (1.0, 1.0, 1.0))[2 * np.array(frames)]
        assert rows.shape[1] == 39
        assert targets[i].tolist() == kmeans.assign(rows).tolist()


def test_without_an_upstream_of_its_own_what_networks_read_is_clustered(tmp_path: Path) -> None:
    options = {"auxiliary_clusterer": {"num_clusters": 2}, "auxiliary_upstream": None}
    run_auxiliary(context_of(tmp_path, options))
    targets = RaggedArray.open(tmp_path / "out" / "targets" / "train")
    first, other = targets["u0"][:2]
    assert first != other
    assert targets["u0"].tolist() == [first, other] * 3
    assert targets["u1"].tolist() == [other, first] * 2
