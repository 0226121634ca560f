"""Common Voice as it is released: `<root>/<locale>/{clips/*.mp3, train.tsv, dev.tsv, test.tsv}`.

`root` is a release, `cv-corpus-...`. Speakers are `client_id`. Without a text file, the text is the
sentences of `validated.tsv` that nobody says in the three splits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from unsup_asr.corpora.languages import common_voice_locale
from unsup_asr.corpora.layout import digest_of
from unsup_asr.corpora.recordings import Recording
from unsup_asr.corpora.speaker_split import SPLITS
from unsup_asr.corpora.text_lines import UnsaidLines, read_text
from unsup_asr.corpora.transcribed import (
    Limits,
    Transcribed,
    digest_of_recordings,
    digest_of_said_text,
    write_corpus,
    write_references,
)
from unsup_asr.formats.lines import numbered_lines
from unsup_asr.protocols import Digests
from unsup_asr.ranges import Positive, PositiveInt, Seed

_COLUMNS = ("client_id", "path", "sentence")


@dataclass(kw_only=True)
class CommonVoiceCorpus:
    """Options of Common Voice. `language` is espeak-ng's code, `locale` the release's folder where
    that does not follow from it. The caps draw at random; test is never cut.
    """

    root: str
    language: str = "de"
    locale: str | None = None
    text: str | None = None
    max_text_lines: PositiveInt | None = None
    max_train_hours: Positive | None = None
    max_dev_hours: Positive | None = None
    skip_unreadable: bool = False
    references: bool = True  # whether results are scored
    seed: Seed = 0

    def source_files(self) -> list[Path]:
        """What is read of the text."""
        return [Path(self.text)] if self.text else []

    def source_digests(self, digests: Digests) -> dict[str, str]:
        """Of recordings and transcripts what decides manifests and text.

        Where the text is the release's own sentences that nobody says, those.
        """
        splits, files = self._splits(), self.source_files()
        if files:
            text = {"text that is said": digest_of_said_text(splits, files, self._text, digests)}
        else:
            unsaid = UnsaidLines(self._text(), _said(splits))
            text = {"text": digest_of(unsaid), "lines that are said": str(unsaid.num_said)}
        return {"recordings": digest_of_recordings(splits), **text}

    def reference_files(self) -> list[Path]:
        """What was said."""
        return [self._folder() / f"{split}.tsv" for split in SPLITS]

    def build(self, out: Path) -> None:
        """Check the corpus, then write manifests and text into `out`."""
        folder = self._folder()
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
            summary={"language": self.language, "locale": folder.name},
        )

    def build_references(self, out: Path, corpus: Path) -> None:
        """Write what was said in the utterances of the manifests in `corpus`."""
        write_references(out, corpus, self._splits())

    def _text(self) -> Iterable[str]:
        return read_text(Path(self.text)) if self.text else _validated(self._folder())

    def _splits(self) -> dict[str, Transcribed]:
        folder = self._folder()
        clips = {path.name for path in (folder / "clips").glob("*")}
        if not clips:
            raise ValueError(f"{folder}: no clips/*.mp3; unpack the release again")
        return {split: _read_split(folder, split, clips) for split in SPLITS}

    def _folder(self) -> Path:
        root = Path(self.root)
        locale = self.locale or common_voice_locale(self.language)
        if (root / locale).is_dir():
            return root / locale
        there = sorted(path.parent.name for path in root.glob("*/validated.tsv"))
        releases = sorted(path.name for path in root.glob("cv-corpus-*"))
        hint = f" {root} holds releases ({', '.join(releases)}): name one." if releases else ""
        raise ValueError(
            f"{root}: no folder {locale} for language {self.language!r} (locales there: "
            f"{', '.join(there) or 'none'}).{hint} Correct corpus.root or language, or set "
            "corpus.locale"
        )


def _validated(folder: Path) -> list[str]:
    """Each sentence of the release once, in an order that says nothing of who said it."""
    sentences = {row["sentence"].strip() for _, row in _rows(folder / "validated.tsv")}
    return sorted(sentences - {""})


def _said(splits: Mapping[str, Transcribed]) -> Iterator[str]:
    return (sentence for split in splits.values() for sentence in split.sentences.values())


def _read_split(folder: Path, split: str, clips: Set[str]) -> Transcribed:
    table = folder / f"{split}.tsv"
    recordings: list[Recording] = []
    sentences: dict[str, str] = {}
    missing: list[str] = []
    for number, row in _rows(table):
        name = row["path"] if "." in row["path"] else f"{row['path']}.mp3"  # as early releases have
        key = Path(name).stem
        if key in sentences:
            raise ValueError(f"{table}:{number}: clip {name!r} again; expected each once")
        if not row["sentence"].strip():
            raise ValueError(f"{table}:{number}: clip {name!r} has no sentence; remove the line")
        if name not in clips:
            missing.append(name)
        recordings.append(Recording(key, folder / "clips" / name, row["client_id"]))
        sentences[key] = row["sentence"]
    if missing:
        raise ValueError(
            f"{table}: {len(missing)} of {len(sentences)} clips are not in {folder / 'clips'} "
            f"(first: {missing[0]}). Unpack the release again"
        )
    if not recordings:
        raise ValueError(f"{table}: a header and no clips; this language has no such split yet")
    return Transcribed(recordings, sentences)


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column; the tables quote nothing."""
    if not path.is_file():
        raise ValueError(f"{path}: no such table; expected Common Voice as it is released")
    lines = numbered_lines(path)
    columns = next(lines, (1, ""))[1].split("\t")
    if lacking := [column for column in _COLUMNS if column not in columns]:
        raise ValueError(f"{path}:1: no column {lacking[0]!r} in {columns}; expected {_COLUMNS}")
    for number, line in lines:
        if not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) != len(columns):
            raise ValueError(
                f"{path}:{number}: {len(cells)} columns; the header has {len(columns)}"
            )
        yield number, dict(zip(columns, cells, strict=True))
