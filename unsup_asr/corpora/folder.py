"""Anybody's own data: a folder of audio, a text file and, to score, references.

Layout as of the synthetic corpus; manifests point at the audio where it lies. References are a
TSV with a header: `utterance_id` (the file's name without suffix), and `words` or `phones`. Given
as words they are written as words, for the text's own front end. They decide nothing but what can
be scored: manifests are the same with and without them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from unsup_asr.corpora.audio_files import AudioFolder, counted, find_audio
from unsup_asr.corpora.folder_references import References, read_references, read_speakers
from unsup_asr.corpora.layout import (
    digest_of,
    read_splits,
    write_phone_references,
    write_split,
    write_summary,
    write_text,
    write_word_references,
)
from unsup_asr.corpora.long_recordings import cut_long_recordings
from unsup_asr.corpora.recordings import Recording, measure
from unsup_asr.corpora.speaker_split import split_by_speaker
from unsup_asr.corpora.text_lines import read_text
from unsup_asr.corpora.timed_references import dealt
from unsup_asr.formats.names import files_by_id, id_of, shown
from unsup_asr.protocols import Digests
from unsup_asr.ranges import OpenFraction, Positive, PositiveInt, Seed
from unsup_asr.speech.audio import AUDIO_SUFFIXES
from unsup_asr.types import SPLITS, Transcript, Utterance

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class FolderCorpus:
    """Options of a corpus in a folder.

    The speaker of an utterance is that of the table `speakers` (a TSV with `utterance_id` and
    `speaker`, which may be the references); or what the one group of the regular expression
    `speaker_pattern` finds in the file's path below `audio`; or, without either, the first folder
    below `audio`, and for a file in `audio` itself the utterance. `channel`, from 1, is heard alone
    of recordings with several; null is their mean. Recordings of more than `max_utterance_s` are
    cut at pauses into utterances of at most that; null leaves all whole.
    """

    audio: str
    text: str
    language: str = "en-us"
    speakers: str | None = None
    speaker_pattern: str | None = None
    channel: PositiveInt | None = None
    max_utterance_s: Positive | None = None
    references: str | None = None
    reference_kind: str = "words"  # or "phones"
    dev_fraction: OpenFraction = 0.1
    test_fraction: OpenFraction = 0.1
    seed: Seed = 0
    skip_unreadable: bool = False
    allow_unreferenced: bool = False  # such utterances are heard, and not scored

    reference_options: ClassVar = ("references", "reference_kind", "allow_unreferenced")

    def __post_init__(self) -> None:
        if self.channel is not None and self.channel < 1:
            raise ValueError(f"channel is {self.channel}; expected 1 or more, or null for the mean")
        if self.speakers is not None and self.speaker_pattern is not None:
            raise ValueError(
                f"speakers is {self.speakers!r} and speaker_pattern {self.speaker_pattern!r}; "
                "expected one of them at most"
            )
        if self.speaker_pattern is not None:
            _compiled(self.speaker_pattern)

    def build(self, out: Path) -> None:
        """Check audio and text, then write manifests and text into `out`."""
        if next(read_text(Path(self.text)), None) is None:
            raise ValueError(f"{self.text}: no text; `text` needs one sentence a line")
        found = self._found()
        files = _by_id(Path(self.audio), found)
        speaker_of = self._speakers(files)
        recordings = [
            Recording(key, path, speaker_of[key], self.channel) for key, path in files.items()
        ]
        measured = measure(recordings, source=self.audio, skip_unreadable=self.skip_unreadable)
        utterances = measured.utterances
        if self.max_utterance_s is not None:
            utterances = cut_long_recordings(utterances, self.max_utterance_s)
        splits = split_by_speaker(
            utterances,
            dev_fraction=self.dev_fraction,
            test_fraction=self.test_fraction,
            seed=self.seed,
        )
        summary: dict[str, object] = {"language": self.language}
        if self.max_utterance_s is not None:
            summary["num_cut"] = len({u.audio for u in utterances if u.start_s is not None})
        summary["speakers_from"] = self._speakers_from()
        for split in SPLITS:
            summary[split] = write_split(out, split, splits[split])
        summary["num_text_sentences"] = write_text(out, read_text(Path(self.text)))
        skipped = found.skipped + measured.skipped
        summary |= {"num_skipped": len(skipped), "skipped": skipped, "left_out": found.left_out}
        write_summary(out, summary)

    def build_references(self, out: Path, corpus: Path) -> None:
        """Check what was said against the audio; write it for the manifests in `corpus`."""
        assert self.references is not None, "without references there is no such stage"
        references = read_references(Path(self.references), kind=self.reference_kind)
        files = _by_id(Path(self.audio), self._found())
        splits = read_splits(corpus)
        if references.stretches:
            self._check_references(references, files)
            every = [u for of in splits.values() for u in of]
            id_of = {path.resolve(): key for key, path in files.items()}
            references = dealt(references, every, id_of, Path(self.references))
        else:
            self._check_references(references, _whole_or_parts(files, splits))
        if references.speakers and self.speakers is None:
            log.warning(
                "%s names speakers, which decide nothing there; corpus.speakers=%s takes them",
                self.references,
                self.references,
            )
        for split, utterances in splits.items():
            if split == "test" and not any(u.id in references.tokens for u in utterances):
                raise ValueError(
                    f"{self.references}: none of the {len(utterances)} utterances of test has a "
                    f"reference (first: {utterances[0].id!r}): nothing can be scored. Add some of "
                    "its speakers, or take another split with seed"
                )
            _write_references(out, split, utterances, references)

    def source_files(self) -> list[Path]:
        """What is heard and read."""
        return [Path(self.audio), Path(self.text)]

    def source_digests(self, digests: Digests) -> dict[str, str]:
        """Of the table of speakers what it says of them, whatever else stands in it."""
        del digests
        if self.speakers is None:
            return {}
        table = read_speakers(Path(self.speakers))
        return {f"speakers in {self.speakers}": digest_of(f"{k}\t{v}" for k, v in table.items())}

    def reference_files(self) -> list[Path]:
        """What was said."""
        return [Path(self.references)] if self.references else []

    def _speakers(self, files: Mapping[str, Path]) -> dict[str, str]:
        """Speaker by utterance id."""
        if self.speakers is not None:
            table = read_speakers(Path(self.speakers))
            if missing := [key for key in files if key not in table]:
                raise ValueError(
                    f"{self.speakers}: {len(missing)} of {len(files)} utterances have no speaker "
                    f"(first: {missing[0]!r}, {shown(files[missing[0]])}). Add them to the table"
                )
            return {key: table[key] for key in files}
        root = Path(self.audio)
        paths = {key: path.relative_to(root) for key, path in files.items()}
        if self.speaker_pattern is None:
            return {k: id_of(p.parts[0]) if len(p.parts) > 1 else k for k, p in paths.items()}
        pattern = _compiled(self.speaker_pattern)
        found = {key: pattern.search(path.as_posix()) for key, path in paths.items()}
        if missing := [key for key, match in found.items() if match is None or not match[1]]:
            raise ValueError(
                f"speaker_pattern {self.speaker_pattern!r} finds no speaker in {len(missing)} of "
                f"{len(files)} paths (first: {paths[missing[0]].as_posix()!r}); correct it"
            )
        return {key: id_of(match[1]) for key, match in found.items() if match}

    def _speakers_from(self) -> str:
        if self.speakers is not None:
            return f"the table {shown(self.speakers)}"
        if self.speaker_pattern is not None:
            return f"the pattern {self.speaker_pattern}"
        return f"the first folder below {shown(self.audio)}, for files without one each its own"

    def _found(self) -> AudioFolder:
        return find_audio(Path(self.audio), skip_unreadable=self.skip_unreadable)

    def _check_references(self, references: References, files: dict[str, Path]) -> None:
        unknown = [key for key in references.tokens if key not in files]
        if unknown:
            raise ValueError(
                f"{self.references}: {len(unknown)} of {len(references.tokens)} references are for "
                f"utterances that {self.audio} does not hold (first: {unknown[0]!r}). The id is "
                "the audio file's name without its suffix; of a recording that is cut with start "
                "and end behind it, as in the manifests, or plain where columns start_s and end_s "
                "say when; correct the ids or remove the lines"
            )
        missing = [key for key in files if key not in references.tokens]
        if missing and not self.allow_unreferenced:
            raise ValueError(
                f"{self.references}: {len(missing)} of {len(files)} utterances have no reference "
                f"(first: {missing[0]!r}, {shown(files[missing[0]])}). Add them, or set "
                "allow_unreferenced=true to hear these and not score them"
            )


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"speaker_pattern {pattern!r}: {error}") from error
    if compiled.groups != 1:
        raise ValueError(
            f"speaker_pattern {pattern!r} has {compiled.groups} groups; expected one, which is the "
            "speaker, such as ^([^/]+)/"
        )
    return compiled


def _by_id(folder: Path, found: AudioFolder) -> dict[str, Path]:
    """Audio files by utterance id, sorted by path."""
    files = files_by_id(found.files)
    if not files:
        raise ValueError(
            f"{shown(folder)}: no audio found, folders below included (there are: "
            f"{counted(found.left_out) or 'no files'}); looked for "
            f"{', '.join(sorted(AUDIO_SUFFIXES))}"
        )
    return files


def _whole_or_parts(
    files: Mapping[str, Path], splits: Mapping[str, Sequence[Utterance]]
) -> dict[str, Path]:
    """Files by utterance id; of a recording that was cut, by the ids of its parts."""
    parts = {u.id: Path(u.audio) for of in splits.values() for u in of if u.start_s is not None}
    cut = set(parts.values())
    return {key: path for key, path in files.items() if path.resolve() not in cut} | parts


def _write_references(
    out: Path, split: str, utterances: Sequence[Utterance], references: References
) -> None:
    if references.kind == "words":
        write_word_references(out, split, utterances, references.tokens)
        return
    phones = {key: Transcript(key, tokens) for key, tokens in references.tokens.items()}
    write_phone_references(out, split, utterances, phones)
