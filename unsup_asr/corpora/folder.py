"""Anybody's own data: a folder of audio, a text file and, to score, references.

Layout as of the synthetic corpus; manifests point at the audio where it lies. References are a
TSV with a header: `utterance_id` (the file's name without suffix), `words` or `phones`, and
optionally `speaker`. Given as words they are written as words, for the text's own front end.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from unsup_asr.audio import AUDIO_SUFFIXES, duration_s, read_audio
from unsup_asr.corpora.folder_references import References, read_references
from unsup_asr.corpora.speaker_split import SPLITS, split_by_speaker
from unsup_asr.manifest import write_manifest
from unsup_asr.transcripts import write_transcripts, write_words
from unsup_asr.types import Transcript, Utterance

logger = logging.getLogger(__name__)


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
        num_sentences = _count_sentences(Path(self.text))
        files = _find_audio(Path(self.audio))
        references = None
        if self.references is not None:
            references = read_references(Path(self.references), kind=self.reference_kind)
            self._check_references(references, files)
        utterances, skipped = self._measure(files, references)
        splits = self._split(utterances, references)
        summary: dict[str, object] = {"language": self.language}
        for split in SPLITS:
            summary[split] = _write_split(out, split, splits[split], references)
        summary["num_text_sentences"] = num_sentences
        summary["num_skipped"] = len(skipped)
        summary["skipped"] = skipped
        with (out / "text.txt").open("w", encoding="utf-8") as copied:
            copied.writelines(f"{line}\n" for line in _sentences(Path(self.text)))
        (out / "corpus.json").write_text(json.dumps(summary, indent=1, ensure_ascii=False), "utf-8")

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

    def _measure(
        self, files: dict[str, Path], references: References | None
    ) -> tuple[list[Utterance], list[dict[str, str]]]:
        """Utterances whose audio reads from end to end, and the files skipped with why."""
        utterances: list[Utterance] = []
        skipped: list[dict[str, str]] = []
        for key, path in tqdm(files.items(), desc="check audio", disable=None):
            try:
                read_audio(path)
            except ValueError as error:
                if not self.skip_unreadable:
                    raise ValueError(
                        f"{error}. skip_unreadable=true leaves such files out"
                    ) from error
                logger.warning("skipped: %s", error)
                skipped.append({"file": str(path), "why": str(error)})
                continue
            speaker = _speaker(key, path, Path(self.audio), references)
            utterances.append(Utterance(key, str(path.resolve()), speaker, duration_s(path)))
        if skipped:
            logger.warning("%d of %d audio files skipped", len(skipped), len(files))
        if not utterances:
            raise ValueError(f"{self.audio}: none of its {len(files)} audio files can be read")
        return utterances, skipped

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


def _count_sentences(path: Path) -> int:
    """Non-empty lines; ValueError when there are none."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file; `text` names a text with one sentence a line")
    if not (count := sum(1 for _ in _sentences(path))):
        raise ValueError(f"{path}: no text; `text` needs one sentence a line")
    return count


def _sentences(path: Path) -> Iterator[str]:
    """Non-empty lines one by one: the text may be larger than memory."""
    start = 0
    with path.open("rb") as lines:
        for raw in lines:
            try:
                decoded = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"{path}: not UTF-8 (byte {start + error.start}); convert the file"
                ) from error
            start += len(raw)
            yield from (line.strip() for line in decoded.splitlines() if line.strip())


def _speaker(key: str, path: Path, root: Path, references: References | None) -> str:
    if references is not None and key in references.speakers:
        return references.speakers[key]
    return path.parent.name if path.parent != root else key


def _write_split(
    out: Path, split: str, utterances: Sequence[Utterance], references: References | None
) -> dict[str, object]:
    """Manifest and references of one split; what corpus.json says about it."""
    write_manifest(out / f"{split}.jsonl", utterances)
    if references is not None:
        tokens = {u.id: references.tokens[u.id] for u in utterances if u.id in references.tokens}
        if references.kind == "words":
            write_words(out / "references" / f"{split}.words.tsv", tokens)
        else:
            transcripts = [Transcript(key, phones) for key, phones in tokens.items()]
            write_transcripts(out / "references" / f"{split}.tsv", transcripts)
    return {
        "num_utterances": len(utterances),
        "hours": sum(u.duration_s for u in utterances) / 3600,
        "num_speakers": len({u.speaker for u in utterances}),
    }
