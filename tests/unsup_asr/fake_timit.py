"""A tiny TIMIT in the published layout: made-up words, tones for phones, SPHERE files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

RATE = 16000
# Made-up words in TIMIT's 61 phones; closures stand before their stops.
WORDS = {
    "koba": "kcl k ow bcl b ax",
    "sheda": "sh iy dcl d ah",
    "tilf": "tcl t ih l f",
    "mong": "m ao ng",
    "reeva": "r ix v ae",
    "unse": "q ah n s",
}
KINDS = ("SA1", "SA2", *(f"SX{n}" for n in (9, 99, 189, 279, 369)), "SI649", "SI1279", "SI1909")


def write_timit(
    root: Path,
    *,
    train: Sequence[str] = ("FAAA0", "MBBB0", "FCCC0", "MDDD0"),
    test: Sequence[str] = ("MDAB0", "FADG0", "MZZZ0"),
    lower: bool = False,
    num_words: int = 3,
) -> None:
    """Write TRAIN and TEST; `test` has a core-test, a core-dev and another speaker."""
    generator = np.random.default_rng(0)
    for portion, speakers in (("TRAIN", train), ("TEST", test)):
        for number, speaker in enumerate(speakers):
            folder = Path(portion, f"DR{number % 8 + 1}", speaker)
            folder = root / (str(folder).lower() if lower else folder)
            folder.mkdir(parents=True)
            for kind in KINDS:
                name = kind.lower() if lower else kind
                words = generator.choice(list(WORDS), size=num_words)
                write_utterance(folder / name, words, lower=lower, generator=generator)


def write_utterance(
    stem: Path, words: Sequence[str], *, lower: bool, generator: np.random.Generator
) -> None:
    phones, spans, samples, at = [], [], [], 0

    def add(label: str) -> None:
        nonlocal at
        length = int(generator.integers(900, 1500))
        phones.append((at, at + length, label))
        samples.append(tone(label, length, generator))
        at += length

    add("h#")
    for position, word in enumerate(words):
        if position == 1:
            add("pau")
        start = at
        for label in WORDS[word].split():
            add(label)
        spans.append((start, at, word))
    add("h#")
    suffix = {kind: kind.lower() if lower else kind for kind in (".WAV", ".PHN", ".WRD", ".TXT")}
    soundfile.write(
        stem.with_suffix(suffix[".WAV"]), np.concatenate(samples), RATE, "PCM_16", format="NIST"
    )
    stem.with_suffix(suffix[".PHN"]).write_text(labels(phones))
    stem.with_suffix(suffix[".WRD"]).write_text(labels(spans))
    stem.with_suffix(suffix[".TXT"]).write_text(f"0 {at} {' '.join(words)}.\n")


def labels(spans: Sequence[tuple[int, int, str]]) -> str:
    return "".join(f"{start} {end} {label}\n" for start, end, label in spans)


def tone(label: str, length: int, generator: np.random.Generator) -> np.ndarray:
    """Two partials of the phone's own frequencies; near silence for pauses and closures."""
    noise = 0.002 * generator.standard_normal(length)
    if label.endswith("cl") or label in ("h#", "pau", "epi", "q"):
        return noise
    low, high = np.random.default_rng(list(label.encode())).uniform((200, 1200), (1200, 5000))
    time_s = np.arange(length) / RATE
    return noise + 0.2 * np.sin(2 * np.pi * low * time_s) + 0.1 * np.sin(2 * np.pi * high * time_s)
