"""The unpaired text, spoken by espeak-ng in many voices: speech whose phones are known.

Nobody transcribed anything: the same rules that phonemize the text speak it. A model that learns
from this speech has never heard a human, but it starts self-training on real recordings where
matching finds no foothold. A corpus that is itself spoken by espeak-ng proves nothing this way.

A voice is a variant of espeak-ng with its own length of vocal tract (the samples resampled, which
moves formants and pitch together), pitch, rate and noise. Axes: N samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from unsup_asr.ranges import (
    Fraction,
    NonNegative,
    NonNegativeInt,
    Positive,
    PositiveInt,
    Real,
    SampleRate,
    Seed,
)
from unsup_asr.speech.audio import resample
from unsup_asr.speech.espeak import PITCH_RANGE, RATE_WPM_RANGE, Espeak, voice_variants
from unsup_asr.speech.espeak_languages import languages, no_such_language
from unsup_asr.types import Float32Array, Seconds

# fmt: off
VARIANTS = (
    "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "Alex", "steph",
    "belinda", "Annie", "linda", "ed", "Andy", "klatt", "klatt2", "klatt3", "klatt4", "Denis",
)
# fmt: on


@dataclass(frozen=True)
class SpokenSentence:
    """One sentence of the text, by its index, as one voice says it."""

    sentence: int
    samples_N: Float32Array
    phones: tuple[str, ...]  # espeak-ng's, folded
    starts_s: NDArray[np.float64]  # when each begins, in the samples as they are


@dataclass(kw_only=True)
class SpokenText:
    """How many voices say how many sentences each, and the ranges that voices are drawn from.

    `warp` is the factor on all frequencies: 1.3 and more sounds like a child.
    """

    language: str = "en-us"
    num_voices: PositiveInt = 200
    sentences_a_voice: PositiveInt = 40
    variants: list[str] = field(default_factory=lambda: list(VARIANTS))
    min_rate_wpm: PositiveInt = 80
    max_rate_wpm: PositiveInt = 180
    min_warp: Positive = 0.85
    max_warp: Positive = 1.5
    min_snr_db: Real = 8.0
    max_snr_db: Real = 40.0
    max_silence_s: NonNegative = 0.5  # before the sentence, and behind it
    hesitant_share: Fraction = 0.6  # of sentences, said with gaps between words
    max_word_gap: NonNegativeInt = 14  # in 10 ms at the usual rate
    sample_rate: SampleRate = 16000
    seed: Seed = 0

    def __post_init__(self) -> None:
        if self.language not in languages():
            raise ValueError(
                f"nobody can speak the text: {no_such_language(self.language)}. Set "
                "start.spoken_text.language to one that reads this spelling much as it is meant, "
                "or use start=matching (and matching=skip_bigrams), which need no voices"
            )
        if unknown := sorted(set(self.variants) - voice_variants()):
            raise ValueError(f"variants {unknown} are not espeak-ng's: {sorted(voice_variants())}")
        if not self.variants or self.num_voices < 1 or self.sentences_a_voice < 1:
            raise ValueError(
                f"{len(self.variants)} variants, {self.num_voices} voices, "
                f"{self.sentences_a_voice} sentences a voice; expected at least one of each"
            )
        low, high = RATE_WPM_RANGE
        if not low <= self.min_rate_wpm <= self.max_rate_wpm <= high:
            raise ValueError(
                f"min_rate_wpm is {self.min_rate_wpm} and max_rate_wpm {self.max_rate_wpm}; "
                f"expected {low} <= min <= max <= {high}"
            )
        if not 0.5 <= self.min_warp <= self.max_warp <= 2.0:
            raise ValueError(
                f"min_warp is {self.min_warp} and max_warp {self.max_warp}; "
                "expected 0.5 <= min <= max <= 2"
            )

    def speak(self, sentences: Sequence[str]) -> Iterator[list[SpokenSentence]]:
        """Each voice's sentences, drawn from all; the same options give the same samples."""
        rng = np.random.default_rng(self.seed)
        espeak = Espeak()
        for number in range(self.num_voices):
            variant = self.variants[number % len(self.variants)]
            warp = np.exp(rng.uniform(np.log(self.min_warp), np.log(self.max_warp)))
            warp = round(float(warp), 2)  # resampling by odd ratios is slow
            rate = rng.integers(self.min_rate_wpm, self.max_rate_wpm + 1)
            pitch = rng.integers(25, 75)
            snr_db = rng.uniform(self.min_snr_db, self.max_snr_db)
            spoken: list[SpokenSentence] = []
            for index in rng.integers(len(sentences), size=self.sentences_a_voice):
                sentence = int(index)
                is_hesitant = rng.random() < self.hesitant_share
                speech = espeak.speak(
                    sentences[sentence],
                    voice=f"{self.language}+{variant}",
                    rate_wpm=int(np.clip(rate + rng.integers(-15, 16), *RATE_WPM_RANGE)),
                    pitch=int(np.clip(pitch + rng.integers(-8, 9), *PITCH_RANGE)),
                    word_gap=int(rng.integers(self.max_word_gap + 1)) if is_hesitant else 0,
                    sample_rate=self.sample_rate,
                )
                warped = resample(speech.samples, int(self.sample_rate * warp), self.sample_rate)
                heard, before_s = self._in_a_room(warped, snr_db, rng.integers(2**32))
                starts_s = np.array(speech.starts_s) / warp + before_s
                spoken.append(SpokenSentence(sentence, heard, speech.phones, starts_s))
            yield spoken

    def _in_a_room(
        self, speech_N: Float32Array, snr_db: float, seed: int
    ) -> tuple[Float32Array, Seconds]:
        """Silence around the speech, coloured noise over all of it; and when the speech begins."""
        rng = np.random.default_rng(seed)  # its own, for it draws as many numbers as samples
        before, behind = rng.integers(int(self.max_silence_s * self.sample_rate) + 1, size=2)
        padded_N = np.pad(speech_N, (before, behind))
        colour = [1.0, -rng.uniform(0.0, 0.97)]
        noise_N = np.asarray(
            scipy.signal.lfilter([1.0], colour, rng.standard_normal(len(padded_N)))
        )
        ratio = np.mean(np.square(padded_N)) / np.mean(np.square(noise_N))
        noise_N *= np.sqrt(ratio * 10 ** (-snr_db / 10))
        return (padded_N + noise_N).astype(np.float32), before / self.sample_rate
