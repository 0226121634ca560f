"""Anybody's own data: a folder of audio, a text file and, to score, references.

Layout as of the synthetic corpus; manifests point at the audio where it lies. References are a
TSV with a header: `utterance_id` (the file's name without suffix), `words` or `phones`, and
optionally `speaker`. Given as words they are written as words, for the text's own front end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unsup_asr.corpora.folder_references import References, read_references
from unsup_asr.corpora.layout import (
    write_phone_references,
    write_split,
    write_summary,
    write_text,
    write_word_references,
)
from unsup_asr.corpora.recordings import Recording, measure
from unsup_asr.corpora.speaker_split import SPLITS, split_by_speaker
from unsup_asr.corpora.text_lines import read_text
from unsup_asr.speech.audio import AUDIO_SUFFIXES
from unsup_asr.types import Transcript, Utterance


@dataclass(kw_only=True)
class FolderCorpus:
    """Options of a corpus in a folder.

    The speaker of an utterance is the references' `speaker`; else the name of the file's folder,
    below `audio`; else the utterance itself.
    """

    audio: str
    text: str
    language: str = "en-us"
    references: str | None = None
    reference_kind: str = "words"  # or "phones"
    dev_fraction: float = 0.1
    test_fraction: float = 0.1
    seed: int = 0
    skip_unreadable: bool = False
    allow_unreferenced: bool = False  # such utterances serve for training only

    def build(self, out: Path) -> None:
        """Check all the data, then write manifests, text and references into `out`."""
        if next(read_text(Path(self.text)), None) is None:
            raise ValueError(f"{self.text}: no text; `text` needs one sentence a line")
        files = _find_audio(Path(self.audio))
        references = None
        if self.references is not None:
            references = read_references(Path(self.references), kind=self.reference_kind)
            self._check_references(references, files)
        recordings = [
            Recording(key, path, _speaker(key, path, Path(self.audio), references))
            for key, path in files.items()
        ]
        measured = measure(recordings, source=self.audio, skip_unreadable=self.skip_unreadable)
        splits = self._split(measured.utterances, references)
        summary: dict[str, object] = {"language": self.language}
        for split in SPLITS:
            summary[split] = write_split(out, split, splits[split])
            if references is not None:
                _write_references(out, split, splits[split], references)
        summary["num_text_sentences"] = write_text(out, read_text(Path(self.text)))
        summary["num_skipped"] = len(measured.skipped)
        summary["skipped"] = measured.skipped
        write_summary(out, summary)

    def source_files(self) -> list[Path]:
        """What is read: its content decides what the corpus is."""
        return [Path(name) for name in (self.audio, self.text, self.references) if name]

    def _check_references(self, references: References, files: dict[str, Path]) -> None:
        unknown = [key for key in references.tokens if key not in files]
        if unknown:
            raise ValueError(
                f"{self.references}: {len(unknown)} of {len(references.tokens)} references are for "
                f"utterances that {self.audio} does not hold (first: {unknown[0]!r}). The id is "
                "the audio file's name without its suffix; correct the ids or remove the lines"
            )
        missing = [key for key in files if key not in references.tokens]
        if missing and not self.allow_unreferenced:
            raise ValueError(
                f"{self.references}: {len(missing)} of {len(files)} utterances have no reference "
                f"(first: {missing[0]!r}, {files[missing[0]]}). Add them, or set "
                "allow_unreferenced=true to train on these without one"
            )

    def _split(
        self, utterances: Sequence[Utterance], references: References | None
    ) -> dict[str, list[Utterance]]:
        scorable = {
            utterance.id
            for utterance in utterances
            if references is None or utterance.id in references.tokens
        }
        return split_by_speaker(
            utterances,
            scorable_ids=scorable,
            dev_fraction=self.dev_fraction,
            test_fraction=self.test_fraction,
            seed=self.seed,
        )


def _find_audio(folder: Path) -> dict[str, Path]:
    """Audio files by utterance id, sorted by path."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; `audio` names the folder with the recordings")
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in AUDIO_SUFFIXES or not path.is_file():
            continue
        key = "_".join(path.stem.split())
        if key in files:
            raise ValueError(
                f"{folder}: two files have the utterance id {key!r}: {files[key]} and {path}. "
                "The id is the file's name without its suffix; rename one"
            )
        files[key] = path
    if not files:
        raise ValueError(
            f"{folder}: no audio found, folders below included; looked for "
            f"{', '.join(sorted(AUDIO_SUFFIXES))}"
        )
    return files


def _speaker(key: str, path: Path, root: Path, references: References | None) -> str:
    if references is not None and key in references.speakers:
        return references.speakers[key]
    return path.parent.name if path.parent != root else key


def _write_references(
    out: Path, split: str, utterances: Sequence[Utterance], references: References
) -> None:
    if references.kind == "words":
        write_word_references(out, split, utterances, references.tokens)
        return
    phones = {key: Transcript(key, tokens) for key, tokens in references.tokens.items()}
    write_phone_references(out, split, utterances, phones)
