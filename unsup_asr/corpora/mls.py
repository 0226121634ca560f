"""Multilingual LibriSpeech (SLR94) as it was published: `<root>/mls_<language>/{train,dev,test}`.

Each split has `transcripts.txt` (`<id><TAB><sentence>`), `segments.txt` and
`audio/<speaker>/<book>/<id>.flac`, or `.opus` in the smaller archives `mls_<language>_opus`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from unsup_asr.corpora.audio_files import find_audio
from unsup_asr.corpora.languages import mls_name
from unsup_asr.corpora.recordings import Recording
from unsup_asr.corpora.speaker_split import SPLITS
from unsup_asr.corpora.text_lines import read_text
from unsup_asr.corpora.transcribed import (
    Limits,
    Transcribed,
    digest_of_recordings,
    digest_of_said_text,
    pair,
    write_corpus,
    write_references,
)
from unsup_asr.formats.lines import numbered_lines, read_lines
from unsup_asr.protocols import Digests
from unsup_asr.ranges import Positive, PositiveInt, Seed

_REMEDY = "Unpack the archive again"
_AUDIO = (".flac", ".opus")
_LIMITED = Path("train", "limited_supervision")


@dataclass(kw_only=True)
class MlsCorpus:
    """Options of MLS. `language` is espeak-ng's code; `text` a file of sentences.

    `train_handles` trains on one of the published lists only: `9hr`, or `1hr/0` to `1hr/5`. The
    caps draw at random; test is never cut.
    """

    root: str
    text: str
    language: str = "de"
    train_handles: str | None = None
    max_text_lines: PositiveInt | None = None
    max_train_hours: Positive | None = None
    max_dev_hours: Positive | None = None
    skip_unreadable: bool = False
    references: bool = True  # whether results are scored
    seed: Seed = 0

    def source_files(self) -> list[Path]:
        """What is read of the text."""
        return [Path(self.text)]

    def source_digests(self, digests: Digests) -> dict[str, str]:
        """Of recordings and transcripts what decides manifests and text."""
        splits, text = self._splits(), self.source_files()
        return {
            "recordings": digest_of_recordings(splits),
            "text that is said": digest_of_said_text(splits, text, self._text, digests),
        }

    def reference_files(self) -> list[Path]:
        """What was said."""
        return [self._folder() / split / "transcripts.txt" for split in SPLITS]

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
            summary={"language": self.language, "folder": self._folder().name},
        )

    def build_references(self, out: Path, corpus: Path) -> None:
        """Write what was said in the utterances of the manifests in `corpus`."""
        write_references(out, corpus, self._splits())

    def _text(self) -> Iterator[str]:
        return read_text(Path(self.text))

    def _splits(self) -> dict[str, Transcribed]:
        folder = self._folder()
        splits = {split: _read_split(folder / split) for split in SPLITS}
        if self.train_handles:
            splits["train"] = _only(splits["train"], self._handles_file(folder))
        return splits

    def _folder(self) -> Path:
        root, name = Path(self.root), mls_name(self.language)
        for folder in (root / f"mls_{name}", root / f"mls_{name}_opus"):
            if folder.is_dir():
                return folder
        raise ValueError(
            f"{root}: neither mls_{name} nor mls_{name}_opus is there; unpack one of them here, or "
            "correct corpus.root (the folder that holds it) or language"
        )

    def _handles_file(self, folder: Path) -> Path:
        path = folder / _LIMITED / str(self.train_handles) / "handles.txt"
        if not path.is_file():
            lists = sorted(
                found.parent.relative_to(folder / _LIMITED).as_posix()
                for found in (folder / _LIMITED).rglob("handles.txt")
            )
            raise ValueError(
                f"{path}: no such list; corpus.train_handles is {self.train_handles!r}, there are: "
                f"{', '.join(lists) or 'none'}"
            )
        return path


def _read_split(folder: Path) -> Transcribed:
    transcripts = folder / "transcripts.txt"
    if not transcripts.is_file() or not (folder / "audio").is_dir():
        raise ValueError(
            f"{folder}: no transcripts.txt or no folder audio; expected MLS as published. {_REMEDY}"
        )
    found = find_audio(folder / "audio", _AUDIO, skip_unreadable=False)
    audio = {p.stem: Recording(p.stem, p, p.parent.parent.name) for p in found.files}
    sentences: dict[str, str] = {}
    for number, line in numbered_lines(transcripts):
        key, _, sentence = line.partition("\t")
        if not sentence.strip() or key in sentences:
            raise ValueError(
                f"{transcripts}:{number}: {line!r}; expected an utterance id of its own, a tab and "
                f"a sentence. {_REMEDY}"
            )
        sentences[key] = sentence
    return pair(audio, sentences, source=str(folder), remedy=_REMEDY, left_out=found.left_out)


def _only(train: Transcribed, path: Path) -> Transcribed:
    """The recordings that a list names; the sentences of all others stay what is said."""
    handles = [handle for line in read_lines(path) for handle in line.split()]
    unknown = [handle for handle in handles if handle not in train.sentences]
    if unknown or not handles:
        first = f" (first: {unknown[0]})" if unknown else ""
        raise ValueError(
            f"{path}: {len(unknown)} of {len(handles)} handles are not in train{first}; expected "
            f"ids of train/transcripts.txt. {_REMEDY}"
        )
    chosen = set(handles)
    recordings = [r for r in train.recordings if r.utterance_id in chosen]
    return Transcribed(recordings, train.sentences, train.left_out)
