"""How much speech each silence detector loses, and how much silence it leaves, in noise.

    python -m benchmarks.silence [--recordings 60] [--seed 0]

Recordings are sentences that espeak-ng says without punctuation, between pauses of 0.3 to 1.2 s
whose places are known, in white noise at a ratio to the speech. Frames are wav2vec 2.0's, 25 ms
every 20 ms; those at the edges of a pause count as neither. rVAD where rvadfast is installed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np

from segmentation.rvad import RVAD
from segmentation.silence import EnergySilence
from unsup_asr.corpora.spoken_text import SpokenText
from unsup_asr.protocols import Silence
from unsup_asr.types import BoolArray, Float32Array

RATE, WINDOW, SHIFT = 16000, 400, 320
RATIOS_DB = (60, 40, 30, 20, 10)
SENTENCES = [
    "the old man walked slowly along the shore of the lake",
    "nobody knew what she would say about the plan",
    "a small boat was waiting near the bridge",
    "he asked for bread and some milk every morning",
    "their house stood behind a row of tall trees",
    "we should leave before the rain begins",
]


def recordings(number: int, seed: int) -> Iterator[tuple[Float32Array, BoolArray]]:
    """Samples without noise, and whether each lies in a pause."""
    rng = np.random.default_rng(seed)
    text = SpokenText(
        num_voices=number, sentences_a_voice=2, min_snr_db=80.0, max_snr_db=81.0, seed=seed
    )
    for voice in text.speak(SENTENCES):
        parts, pauses = [], []
        for said in [None, *voice]:
            if said is not None:
                loud = np.flatnonzero(np.abs(said.samples_N) > 0.01 * np.abs(said.samples_N).max())
                parts.append(said.samples_N[loud[0] : loud[-1] + 1])
                pauses.append(np.zeros(len(parts[-1]), dtype=bool))
            parts.append(np.zeros(int(rng.uniform(0.3, 1.2) * RATE), dtype=np.float32))
            pauses.append(np.ones(len(parts[-1]), dtype=bool))
        yield np.concatenate(parts), np.concatenate(pauses)


def without_pauses(
    made: list[tuple[Float32Array, BoolArray]],
) -> list[tuple[Float32Array, BoolArray]]:
    """The speech alone, where there is nothing to cut."""
    return [(x_N[~is_pause_N], is_pause_N[~is_pause_N]) for x_N, is_pause_N in made]


def scores(
    detector: Silence, made: list[tuple[Float32Array, BoolArray]], ratio_db: float, seed: int
) -> tuple[float, float, float]:
    """Percent of speech that is lost and of silence that is left, seconds an hour of audio.

    Silence is NaN where there is none.
    """
    rng = np.random.default_rng(seed)
    lost, left, taken_s, audio_s = [], [], 0.0, 0.0
    for samples_N, is_pause_N in made:
        power = np.mean(samples_N[~is_pause_N] ** 2) / 10 ** (ratio_db / 10)
        noisy_N = samples_N + rng.normal(0, np.sqrt(power), len(samples_N)).astype(np.float32)
        started = time.perf_counter()
        kept = detector.speech_frames(noisy_N, frame_samples=WINDOW, shift_samples=SHIFT)
        taken_s += time.perf_counter() - started
        audio_s += len(samples_N) / RATE
        starts = np.arange(0, len(samples_N) - WINDOW + 1, SHIFT)
        share_T = np.array([is_pause_N[start : start + WINDOW].mean() for start in starts])
        is_kept_T = np.isin(np.arange(len(starts)), kept)
        lost.append(~is_kept_T[share_T == 0])
        left.append(is_kept_T[share_T == 1])
    return (
        100 * float(np.concatenate(lost).mean()),
        100 * float(np.mean(np.concatenate(left))) if any(map(len, left)) else float("nan"),
        3600 * taken_s / audio_s,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    made = list(recordings(options.recordings, options.seed))
    detectors: dict[str, Silence] = {
        "EnergySilence, usual": EnergySilence(max_run_frames=6, keep_frames=2),
        "EnergySilence, system=w2vu": EnergySilence(
            max_run_frames=6, keep_frames=2, min_range_db=20.0, floor_margin_db=6.0
        ),
    }
    try:
        detectors["RVAD"] = RVAD()
    except ValueError as error:
        print(error)
    seconds = sum(len(samples_N) for samples_N, _ in made) / RATE
    silent = np.concatenate([is_pause_N for _, is_pause_N in made]).mean()
    print(f"{len(made)} recordings, {seconds:.0f} s, {100 * silent:.0f} % pauses")
    print("Of speech alone: the same recordings without their pauses.")
    print("noise, dB | detector | lost, % | silence left, % | lost of speech alone, % | s per hour")
    for ratio_db in RATIOS_DB:
        for name, detector in detectors.items():
            lost, left, cost_s = scores(detector, made, ratio_db, options.seed)
            alone, _, _ = scores(detector, without_pauses(made), ratio_db, options.seed)
            print(f"{ratio_db} | {name} | {lost:.1f} | {left:.1f} | {alone:.1f} | {cost_s:.1f}")


if __name__ == "__main__":
    main()
