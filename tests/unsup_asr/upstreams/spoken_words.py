"""A few words that espeak-ng says, as a corpus of recordings with the phones said."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unsup_asr.speech.audio import write_flac
from unsup_asr.speech.espeak import Espeak
from unsup_asr.speech.waveforms import Waveforms
from unsup_asr.types import Int32Array, Utterance

WORDS = ("two seas", "a map", "see me", "no more")


@dataclass(frozen=True)
class SpokenWords:
    """Recordings of 16 kHz, and the phones of each as ids of the inventory."""

    utterances: list[Utterance]
    phones: dict[str, tuple[str, ...]]
    inventory: list[str]
    targets: dict[str, Int32Array]

    @property
    def waveforms(self) -> Waveforms:
        return Waveforms(self.utterances, sample_rate=16000)


def speak_words(folder: Path) -> SpokenWords:
    espeak = Espeak()
    utterances, phones = [], {}
    for number, words in enumerate(WORDS):
        said = espeak.speak(words, voice="en-us")
        path = folder / f"u{number}.flac"
        write_flac(path, said.samples, sample_rate=said.sample_rate)
        duration_s = len(said.samples) / said.sample_rate
        utterances.append(Utterance(path.stem, str(path), "a", duration_s))
        phones[path.stem] = said.phones
    inventory = sorted({phone for said in phones.values() for phone in said})
    targets = {
        i: np.array([inventory.index(phone) for phone in said], np.int32)
        for i, said in phones.items()
    }
    return SpokenWords(utterances, phones, inventory, targets)
