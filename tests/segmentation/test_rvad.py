"""rVAD behind the contract of silence detectors; skipped where the package is not installed."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from segmentation.rvad import RVAD
from unsup_asr.protocols import Silence

RATE = 16000


def test_a_missing_package_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rVADfast", None)
    with pytest.raises(ValueError, match=r"'rvadfast' is not installed.*unsup-asr\[rvad\]"):
        RVAD()


def test_voiced_stretches_stay_and_pauses_go() -> None:
    pytest.importorskip("rVADfast")
    time_s = np.arange(RATE) / RATE
    rng = np.random.default_rng(0)
    voiced = sum(np.sin(2 * np.pi * 120 * k * time_s) / k for k in range(1, 20))
    voiced *= 0.1 * (1 + 0.5 * np.sin(2 * np.pi * 4 * time_s))
    samples = np.concatenate([np.zeros(RATE), voiced, np.zeros(RATE)])
    samples += rng.normal(0, 1e-3, len(samples))
    detector = RVAD()
    assert isinstance(detector, Silence)
    kept = detector.speech_frames(samples.astype(np.float32), frame_samples=400, shift_samples=320)
    assert set(range(52, 98)) <= set(kept.tolist())
    assert np.mean((kept < 45) | (kept > 105)) < 0.1
    nothing = np.zeros(8000, np.float32)
    every = detector.speech_frames(nothing, frame_samples=400, shift_samples=320)
    assert every.tolist() == list(range(24))
