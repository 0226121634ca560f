"""LibriSpeech (SLR12) as it was published: `<root>/train-clean-100/<speaker>/<chapter>/*.flac`.

Beside the audio of each chapter lies `<speaker>-<chapter>.trans.txt`, one `<id> <SENTENCE>` a line.
The text is a file (the corpus's own librispeech-lm-norm.txt.gz, SLR11, or any other), or the
transcripts of other subsets; never those of the speech.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from unsup_asr.corpora.audio_files import find_audio
from unsup_asr.corpora.recordings import Recording
from unsup_asr.corpora.speaker_split import SPLITS
from unsup_asr.corpora.text_lines import read_text
from unsup_asr.corpora.transcribed import (
    Limits,
    Transcribed,
    digest_of_recordings,
    digest_of_said_text,
    pair,
    together,
    write_corpus,
    write_references,
)
from unsup_asr.formats.lines import numbered_lines
from unsup_asr.protocols import Digests
from unsup_asr.ranges import Filled, Positive, PositiveInt, Seed

_REMEDY = "Unpack the subset's archive again"


@dataclass(kw_only=True)
class LibriSpeechCorpus:
    """Options of LibriSpeech. Exactly one of `text` and `text_subsets` says where the text is from.

    `train_subset` may be several, such as the three of LibriSpeech-960. Of more than
    `max_text_lines`, so many are drawn at random. The caps on hours draw utterances
    at random too; the test subset is never cut.
    """

    root: str
    text: str | None = None
    text_subsets: list[str] = field(default_factory=list)
    train_subset: str | Annotated[list[str], Filled()] = "train-clean-100"
    dev_subset: str = "dev-clean"
    test_subset: str = "test-clean"
    max_text_lines: PositiveInt | None = None
    max_train_hours: Positive | None = None
    max_dev_hours: Positive | None = None
    skip_unreadable: bool = False
    references: bool = True  # whether results are scored
    language: str = "en-us"
    seed: Seed = 0

    def __post_init__(self) -> None:
        if (self.text is None) == (not self.text_subsets):
            raise ValueError(
                f"text is {self.text!r} and text_subsets {self.text_subsets}; expected exactly one "
                "of them: a text file, or subsets whose transcripts are the text"
            )
        heard = [name for names in self._subsets().values() for name in names]
        if len(set(heard)) != len(heard):
            raise ValueError(
                f"train, dev and test are {self._subsets()}; expected each subset once"
            )
        if shared := sorted(set(heard) & set(self.text_subsets)):
            raise ValueError(
                f"text_subsets has {shared}, which are heard in training, dev or test: their "
                "transcripts must not be the text. Take others, such as train-clean-360"
            )

    def source_files(self) -> list[Path]:
        """What is read of the text."""
        if self.text:
            return [Path(self.text)]
        return [p for name in self.text_subsets for p in _transcript_files(Path(self.root), name)]

    def source_digests(self, digests: Digests) -> dict[str, str]:
        """Of recordings and transcripts what decides manifests and text."""
        splits, text = self._splits(), self.source_files()
        return {
            "recordings": digest_of_recordings(splits),
            "text that is said": digest_of_said_text(splits, text, self._text, digests),
        }

    def reference_files(self) -> list[Path]:
        """What was said."""
        root = Path(self.root)
        heard = (name for names in self._subsets().values() for name in names)
        return [p for name in heard for p in _transcript_files(root, name)]

    def build(self, out: Path) -> None:
        """Check the corpus, then write manifests and text into `out`."""
        write_corpus(
            out,
            self._splits(),
            self._text(),
            limits=Limits(
                train_hours=self.max_train_hours,
                dev_hours=self.max_dev_hours,
                text_lines=self.max_text_lines,
                seed=self.seed,
            ),
            skip_unreadable=self.skip_unreadable,
            summary={"language": self.language, "subsets": self._subsets()},
        )

    def build_references(self, out: Path, corpus: Path) -> None:
        """Write what was said in the utterances of the manifests in `corpus`."""
        write_references(out, corpus, self._splits())

    def _splits(self) -> dict[str, Transcribed]:
        root = Path(self.root)
        return {
            split: together([_read_subset(root, name) for name in names])
            for split, names in self._subsets().items()
        }

    def _subsets(self) -> dict[str, list[str]]:
        train = [self.train_subset] if isinstance(self.train_subset, str) else self.train_subset
        names = (list(train), [self.dev_subset], [self.test_subset])
        return dict(zip(SPLITS, names, strict=True))

    def _text(self) -> Iterator[str]:
        if self.text:
            yield from read_text(Path(self.text))
            return
        for subset in self.text_subsets:
            for _, sentence in _sentences(Path(self.root), subset):
                yield sentence


def _read_subset(root: Path, subset: str) -> Transcribed:
    folder = _subset_folder(root, subset)
    found = find_audio(folder, (".flac",), skip_unreadable=False)
    return pair(
        {p.stem: Recording(p.stem, p, p.parent.parent.name) for p in found.files},
        dict(_sentences(root, subset)),
        source=str(folder),
        remedy=_REMEDY,
        left_out=found.left_out,
    )


def _sentences(root: Path, subset: str) -> Iterator[tuple[str, str]]:
    """Utterance id and sentence, chapter after chapter."""
    seen: set[str] = set()
    for path in _transcript_files(root, subset):
        for number, line in numbered_lines(path):
            key, _, sentence = line.strip().partition(" ")
            if not sentence or key in seen:
                raise ValueError(
                    f"{path}:{number}: {line!r}; expected an utterance id of its own, a space and "
                    f"a sentence. {_REMEDY}"
                )
            seen.add(key)
            yield key, sentence


def _transcript_files(root: Path, subset: str) -> list[Path]:
    folder = _subset_folder(root, subset)
    files = [p for p in sorted(folder.glob("*/*/*.trans.txt")) if not p.name.startswith(".")]
    if not files:
        raise ValueError(
            f"{folder}: no <speaker>/<chapter>/*.trans.txt; expected LibriSpeech as published. "
            f"{_REMEDY}"
        )
    return files


def _subset_folder(root: Path, subset: str) -> Path:
    if (root / subset).is_dir():
        return root / subset
    if (root / "LibriSpeech" / subset).is_dir():
        raise ValueError(f"{root}: no folder {subset}; set corpus.root to {root / 'LibriSpeech'}")
    there = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    raise ValueError(
        f"{root}: no folder {subset} (there are: {', '.join(there) or 'none'}); unpack "
        f"{subset}.tar.gz so that {root / subset} exists, or correct corpus.root"
    )
