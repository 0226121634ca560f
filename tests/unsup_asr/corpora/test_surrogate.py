"""Frames made of true alignments: what is where, what is random, and that no stage reads them."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from unsup_asr import PACKAGES
from unsup_asr.corpora.surrogate import FRAME_S, SurrogateFeatures
from unsup_asr.types import Transcript

ROOT = Path(__file__).resolve().parents[3]
SAID = Transcript("u", ("p", "a", "t"), (0.1, 0.2, 0.4), (0.2, 0.4, 0.5))
QUIET = SurrogateFeatures(
    dim=64, edge_s=0.001, carry=0, drift=0, speaker=0, channel=0, noise=0, nuisance=0
)


def test_frames_lie_at_published_times_within_the_speech() -> None:
    frames, phones = SurrogateFeatures(dim=64).frames(SAID, speaker="s")
    assert frames.shape == (round(0.4 / FRAME_S), 64)
    assert frames.dtype == np.float32
    assert phones.tolist() == [0] * 5 + [1] * 10 + [2] * 5


def test_without_noise_all_frames_of_a_phone_are_alike_and_differ_from_others() -> None:
    frames, phones = QUIET.frames(SAID, speaker="s")
    for phone in range(3):
        assert np.allclose(frames[phones == phone], frames[phones == phone][0], atol=1e-3)
    assert np.linalg.norm(frames[0] - frames[7]) > 1


def test_frames_move_smoothly_across_a_boundary() -> None:
    frames, _ = replace(QUIET, edge_s=0.02).frames(SAID, speaker="s")
    steps = np.linalg.norm(np.diff(frames, axis=0), axis=1)
    assert steps.max() < 0.5 * np.linalg.norm(frames[0] - frames[9])
    assert steps[4] > 3 * steps[9]  # at the boundary, and in the middle of the vowel


def test_phones_of_a_class_are_nearer_than_others() -> None:
    alike = replace(QUIET, likeness=0.9)
    (p, t), (_, a) = (_ends(alike, *pair) for pair in (("p", "t"), ("p", "a")))
    assert np.linalg.norm(p - t) < 0.7 * np.linalg.norm(p - a)


def test_a_speakers_offset_is_the_same_in_all_that_he_says() -> None:
    offset = replace(QUIET, speaker=1.0)
    moved = [offset.frames(SAID, speaker=s)[0] - QUIET.frames(SAID, speaker=s)[0] for s in "ab"]
    other = replace(SAID, utterance_id="v")
    again = offset.frames(other, speaker="a")[0] - QUIET.frames(other, speaker="a")[0]
    assert np.allclose(moved[0], moved[0][0], atol=1e-4)
    assert np.allclose(moved[0], again, atol=1e-4)
    assert not np.allclose(moved[0], moved[1], atol=0.1)


def test_noise_has_the_size_and_the_memory_asked_for() -> None:
    long = Transcript("u", ("a",), (0.0,), (100.0,))
    noisy = replace(QUIET, latent_dim=8, noise=0.5, noise_memory=0.8)
    noise = (
        noisy.frames(long, speaker="s")[0] - replace(noisy, noise=0).frames(long, speaker="s")[0]
    )
    variance = float(np.square(noise).sum(1).mean()) / 8
    memory = float((noise[1:] * noise[:-1]).sum() / np.square(noise).sum())
    assert variance == pytest.approx(0.25, rel=0.1)
    assert memory == pytest.approx(0.8, abs=0.03)


def test_the_nuisance_lies_in_dims_of_its_own() -> None:
    noisy = replace(QUIET, nuisance=2.0)
    nuisance = noisy.frames(SAID, speaker="s")[0] - QUIET.frames(SAID, speaker="s")[0]
    speech = QUIET.frames(SAID, speaker="s")[0]
    assert np.abs(nuisance @ speech.T).max() < 1e-3 * np.abs(speech @ speech.T).max()
    assert np.abs(nuisance).max() > 0.1


def test_the_same_seed_gives_the_same_frames_and_another_seed_others() -> None:
    first, again, other = (
        SurrogateFeatures(dim=64, seed=seed).frames(SAID, speaker="s")[0] for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.allclose(first, other, atol=0.1)


def test_phones_without_times_and_too_few_dims_are_refused() -> None:
    with pytest.raises(ValueError, match="'u' has no times; expected aligned phones"):
        SurrogateFeatures(dim=64).frames(Transcript("u", ("a",)), speaker="s")
    with pytest.raises(ValueError, match="expected at most that"):
        SurrogateFeatures(dim=32, latent_dim=32)


def test_nothing_that_recognises_speech_imports_frames_made_of_references() -> None:
    name = "unsup_asr.corpora.surrogate"
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                imported = (
                    [f"{node.module}", *(f"{node.module}.{a.name}" for a in node.names)]
                    if isinstance(node, ast.ImportFrom)
                    else [a.name for a in node.names]
                    if isinstance(node, ast.Import)
                    else []
                )
                assert name not in imported, path
    named = [
        p for p in (ROOT / "unsup_asr" / "conf").rglob("*.yaml") if name in p.read_text("utf-8")
    ]
    assert named == []


def _ends(features: SurrogateFeatures, first: str, last: str) -> tuple[np.ndarray, np.ndarray]:
    said = Transcript("u", (first, last), (0.0, 0.2), (0.2, 0.4))
    frames, _ = features.frames(said, speaker="s")
    return frames[0], frames[-1]
