"""A corpus spoken by espeak-ng: many voices, phones aligned in time, in any of its languages.

Layout: `audio/<split>/<id>.flac`, `<split>.jsonl`, `text.txt` (unpaired), `corpus.json`, and in
`references/` the aligned phones `<split>.tsv` and words `<split>.words.tsv`.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from unsup_asr.corpora.sentences import frequent_words, read_sentences, sample_sentences
from unsup_asr.corpora.speaker_split import SPLITS
from unsup_asr.formats.hypotheses import write_transcripts, write_words
from unsup_asr.formats.manifest import write_manifest
from unsup_asr.ranges import NonNegativeInt, PositiveInt, SampleRate, Seed
from unsup_asr.speech.audio import write_flac
from unsup_asr.speech.espeak import Espeak, Speech
from unsup_asr.types import Transcript, Utterance

logger = logging.getLogger(__name__)

# espeak-ng's variants of one language, male and female in each split.
TRAIN_VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "f1", "f2", "f3", "f5")
DEV_VARIANTS = ("m8", "belinda")
TEST_VARIANTS = ("m7", "f4", "Alex", "steph")


@dataclass(kw_only=True)
class SyntheticCorpus:
    """Options of a synthetic corpus. A voice is the language with one variant (`en-us+f3`)."""

    language: str = "en-us"
    num_train_utterances: PositiveInt = 2000
    num_dev_utterances: PositiveInt = 120
    num_test_utterances: PositiveInt = 180
    train_variants: list[str] = field(default_factory=lambda: list(TRAIN_VARIANTS))
    dev_variants: list[str] = field(default_factory=lambda: list(DEV_VARIANTS))
    test_variants: list[str] = field(default_factory=lambda: list(TEST_VARIANTS))
    min_rate_wpm: PositiveInt = 130
    max_rate_wpm: PositiveInt = 180
    min_pitch: NonNegativeInt = 35
    max_pitch: NonNegativeInt = 65
    min_words: PositiveInt = 6
    max_words: PositiveInt = 12
    num_text_sentences: PositiveInt = 20000
    vocabulary_size: PositiveInt = 5000
    text_path: str | None = None
    sample_rate: SampleRate = 16000
    references: bool = True  # whether results are scored
    seed: Seed = 0

    def __post_init__(self) -> None:
        for split in SPLITS:
            if self._num_utterances(split) < 1:
                raise ValueError(
                    f"num_{split}_utterances is {self._num_utterances(split)}; expected at least 1"
                )
            if not self._variants(split):
                raise ValueError(f"{split}_variants is empty; expected at least one voice variant")
        shared = set(self.train_variants) & {*self.dev_variants, *self.test_variants}
        if shared:
            raise ValueError(
                f"voice variants {sorted(shared)} are in train_variants and in dev or test; "
                "held-out voices must be unseen in training"
            )
        for name in ("rate_wpm", "pitch", "words"):
            low, high = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            if not 0 <= low <= high:
                raise ValueError(f"min_{name} is {low} and max_{name} {high}; expected min <= max")
        if self.num_text_sentences < 1:
            raise ValueError(f"num_text_sentences is {self.num_text_sentences}; expected >= 1")

    def build(self, out: Path) -> None:
        """Write the corpus into `out`; the same options give the same bytes."""
        generator = np.random.default_rng(self.seed)
        spoken, text = self._sentences(generator)
        espeak = Espeak()
        summary: dict[str, object] = {"language": self.language, "sample_rate": self.sample_rate}
        start = 0
        for split in SPLITS:
            stop = start + self._num_utterances(split)
            summary[split] = self._speak_split(split, spoken[start:stop], out, espeak, generator)
            start = stop
        (out / "text.txt").write_text("\n".join(text) + "\n", "utf-8")
        summary["num_text_sentences"] = len(text)
        (out / "corpus.json").write_text(json.dumps(summary, indent=1, ensure_ascii=False), "utf-8")

    def build_references(self, out: Path, corpus: Path) -> None:
        """Copy what was said, which `build` knew as it spoke and sealed."""
        shutil.copytree(corpus / "references", out / "references")

    def _speak_split(
        self,
        split: str,
        sentences: Sequence[str],
        out: Path,
        espeak: Espeak,
        generator: np.random.Generator,
    ) -> dict[str, object]:
        """Audio, manifest and references of one split; what corpus.json says about it."""
        folder = out / "audio" / split
        folder.mkdir(parents=True, exist_ok=True)
        variants = self._variants(split)
        utterances: list[Utterance] = []
        transcripts: list[Transcript] = []
        for i, sentence in enumerate(tqdm(sentences, desc=f"synthesise {split}", disable=None)):
            variant = variants[i % len(variants)]
            speech = self._speak(sentence, variant, espeak, generator)
            utterance_id = f"{split}-{variant}-{i:05d}".replace(" ", "_")
            audio = folder / f"{utterance_id}.flac"
            write_flac(audio, speech.samples, sample_rate=speech.sample_rate)
            duration_s = len(speech.samples) / speech.sample_rate
            utterances.append(
                Utterance(utterance_id, str(audio.relative_to(out)), variant, duration_s)
            )
            transcripts.append(
                Transcript(utterance_id, speech.phones, speech.starts_s, speech.ends_s)
            )
        write_manifest(out / f"{split}.jsonl", utterances)
        write_transcripts(out / "references" / f"{split}.tsv", transcripts)
        words = {u.id: s.split() for u, s in zip(utterances, sentences, strict=True)}
        write_words(out / "references" / f"{split}.words.tsv", words)
        hours = sum(u.duration_s for u in utterances) / 3600
        logger.info("%s: %d utterances, %.2f h", split, len(utterances), hours)
        return {"num_utterances": len(utterances), "hours": hours, "voices": list(variants)}

    def _speak(
        self, sentence: str, variant: str, espeak: Espeak, generator: np.random.Generator
    ) -> Speech:
        speech = espeak.speak(
            sentence,
            voice=f"{self.language}+{variant}",
            rate_wpm=int(generator.integers(self.min_rate_wpm, self.max_rate_wpm + 1)),
            pitch=int(generator.integers(self.min_pitch, self.max_pitch + 1)),
            sample_rate=self.sample_rate,
        )
        if not speech.phones:
            raise ValueError(
                f"espeak-ng says nothing for {sentence!r} in language {self.language!r}; "
                "is the text in the language's script?"
            )
        return speech

    def _sentences(self, generator: np.random.Generator) -> tuple[list[str], list[str]]:
        """Sentences to speak, and others for the text."""
        num_spoken = sum(self._num_utterances(split) for split in SPLITS)
        num_wanted = num_spoken + self.num_text_sentences
        if self.text_path is None:
            words, probabilities = frequent_words(self.language, self.vocabulary_size)
            sentences = sample_sentences(
                words,
                probabilities,
                num_sentences=num_wanted,
                min_words=self.min_words,
                max_words=self.max_words,
                generator=generator,
            )
        else:
            sentences = read_sentences(Path(self.text_path), generator=generator)
            if len(sentences) <= num_spoken:
                raise ValueError(
                    f"{self.text_path}: {len(sentences)} distinct sentences; {num_spoken} are to "
                    "be spoken and others are needed as text. Give more text or fewer utterances"
                )
            if len(sentences) < num_wanted:
                logger.warning(
                    "%s: %d sentences left for the text, %d asked for; all of them are taken. Give "
                    "more text, or ask for less",
                    self.text_path,
                    len(sentences) - num_spoken,
                    self.num_text_sentences,
                )
        return sentences[:num_spoken], sentences[num_spoken:num_wanted]

    def _num_utterances(self, split: str) -> int:
        return {
            "train": self.num_train_utterances,
            "dev": self.num_dev_utterances,
            "test": self.num_test_utterances,
        }[split]

    def _variants(self, split: str) -> list[str]:
        return {
            "train": self.train_variants,
            "dev": self.dev_variants,
            "test": self.test_variants,
        }[split]
