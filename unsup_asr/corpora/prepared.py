"""What corpora prepared for other toolkits share: tables of recordings, and maybe what was said.

A reader says what one source holds. `train`, `dev` and `test` name a source each; without `dev` or
`test` the speakers of `train` are shared out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from unsup_asr.corpora.layout import read_splits, write_word_references
from unsup_asr.corpora.speaker_split import split_by_speaker
from unsup_asr.corpora.text_lines import read_text
from unsup_asr.corpora.transcribed import (
    Limits,
    Transcribed,
    digest_of_recordings,
    digest_of_said_text,
    write_corpus,
)
from unsup_asr.protocols import Digests
from unsup_asr.ranges import OpenFraction, Positive, Seed
from unsup_asr.speech.audio import announced_s
from unsup_asr.types import SPLITS, Utterance


@dataclass(kw_only=True)
class PreparedCorpus(ABC):
    """Options. Whole recordings of more than `max_utterance_s` are cut at pauses; null: none are.

    With `references` false nothing is scored, and utterances need no transcript.
    """

    train: str
    text: str
    dev: str | None = None
    test: str | None = None
    language: str = "en-us"
    max_utterance_s: Positive | None = None
    dev_fraction: OpenFraction = 0.1
    test_fraction: OpenFraction = 0.1
    seed: Seed = 0
    skip_unreadable: bool = False
    references: bool = True

    reference_options: ClassVar = ("references",)

    def __post_init__(self) -> None:
        if (self.dev is None) != (self.test is None):
            raise ValueError(
                f"corpus.dev is {self.dev!r} and corpus.test {self.test!r}; expected both, or "
                "neither: then speakers of train are held out"
            )

    @abstractmethod
    def read(self, source: str) -> Transcribed:
        """Recordings of a source and what was said in them; some may lack a transcript."""

    @abstractmethod
    def transcript_files(self, source: str) -> list[Path]:
        """The files of a source that hold what was said."""

    def source_files(self) -> list[Path]:
        """The unpaired text."""
        return [Path(self.text)]

    def source_digests(self, digests: Digests) -> dict[str, str]:
        """Of recordings and transcripts what decides manifests and text."""
        splits, files = self._splits(), self.source_files()
        said = digest_of_said_text(splits, files, lambda: read_text(Path(self.text)), digests)
        return {"recordings": digest_of_recordings(splits), "text that is said": said}

    def reference_files(self) -> list[Path]:
        """What was said."""
        sources = [source for source in (self.train, self.dev, self.test) if source is not None]
        return [path for source in sources for path in self.transcript_files(source)]

    def build(self, out: Path) -> None:
        """Check the corpus, then write manifests and text into `out`."""
        write_corpus(
            out,
            self._splits(),
            read_text(Path(self.text)),
            limits=Limits(train_hours=None, dev_hours=None, text_lines=None, seed=self.seed),
            skip_unreadable=self.skip_unreadable,
            summary={"language": self.language},
            max_utterance_s=self.max_utterance_s,
        )

    def build_references(self, out: Path, corpus: Path) -> None:
        """Write what was said in the utterances of the manifests in `corpus`.

        ValueError where some lack it: a recording that was cut has no transcript of its parts.
        """
        said = {key: of for split in self._splits().values() for key, of in split.sentences.items()}
        for split, utterances in read_splits(corpus).items():
            if silent := [u.id for u in utterances if u.id not in said]:
                raise ValueError(
                    f"{self._named(split)}: {len(silent)} of {len(utterances)} utterances of "
                    f"{split} have no transcript (first: {silent[0]!r}). Add them, or set "
                    "corpus.references=false: then nothing is scored"
                )
            words = {u.id: said[u.id].split() for u in utterances}
            write_word_references(out, split, utterances, words)

    def _named(self, split: str) -> str:
        return {"dev": self.dev, "test": self.test}.get(split) or self.train

    def _splits(self) -> dict[str, Transcribed]:
        if self.dev is not None and self.test is not None:
            found = {"train": self.read(self.train), "dev": self.read(self.dev)}
            found["test"] = self.read(self.test)
            _check_apart(found)
            return found
        return self._shared_out(self.read(self.train))

    def _shared_out(self, whole: Transcribed) -> dict[str, Transcribed]:
        """By lengths that headers announce: whatever cannot be read is found later."""
        lengths = {r.path: 0.0 for r in whole.recordings if r.duration_s is None}
        lengths = {path: announced_s(path) or 1.0 for path in lengths}
        utterances = [
            Utterance(r.utterance_id, str(r.path), r.speaker, r.duration_s or lengths[r.path])
            for r in whole.recordings
        ]
        shared = split_by_speaker(
            utterances,
            dev_fraction=self.dev_fraction,
            test_fraction=self.test_fraction,
            seed=self.seed,
        )
        return {split: _only(whole, {u.id for u in shared[split]}, split) for split in SPLITS}


def _only(whole: Transcribed, ids: set[str], split: str) -> Transcribed:
    return Transcribed(
        [r for r in whole.recordings if r.utterance_id in ids],
        {key: said for key, said in whole.sentences.items() if key in ids},
        whole.left_out if split == "train" else {},
    )


def _check_apart(splits: Mapping[str, Transcribed]) -> None:
    seen: dict[str, str] = {}
    for split, of in splits.items():
        for recording in of.recordings:
            key = recording.utterance_id
            if key in seen:
                raise ValueError(
                    f"utterance {key!r} is in {seen[key]} and in {split}; expected each in one"
                )
            seen[key] = split
