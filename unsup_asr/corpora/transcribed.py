"""What corpora of transcribed recordings with published splits share: how they are written.

A reader names recordings and what was said in each. No line of the text that equals a transcript
stays in it; which recording a transcript is of decides nothing but the references.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unsup_asr.corpora.layout import (
    digest_of,
    read_splits,
    write_split,
    write_summary,
    write_text,
    write_word_references,
)
from unsup_asr.corpora.long_recordings import cut_long_recordings
from unsup_asr.corpora.recordings import Recording, measure
from unsup_asr.corpora.speaker_split import SPLITS
from unsup_asr.corpora.text_lines import UnsaidLines, at_most, letters
from unsup_asr.protocols import Digests
from unsup_asr.types import Seconds

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Transcribed:
    """One split of a corpus: its recordings, and what was said by utterance id.

    There may be sentences of recordings that are not taken; they must not be text either.
    """

    recordings: list[Recording]
    sentences: dict[str, str]
    left_out: Mapping[str, int] = field(default_factory=dict)  # files of other kinds, or hidden


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much of a corpus is taken: None is all. What is left is drawn with `seed`; test stays."""

    train_hours: float | None
    dev_hours: float | None
    text_lines: int | None
    seed: int

    def hours(self, split: str) -> float | None:
        """The cap of a split."""
        return {"train": self.train_hours, "dev": self.dev_hours}.get(split)


def pair(
    audio: Mapping[str, Recording],
    sentences: Mapping[str, str],
    *,
    source: str,
    remedy: str,
    left_out: Mapping[str, int],
) -> Transcribed:
    """Recordings and transcripts of the same ids; ValueError where one side lacks any."""
    lacking = sorted(set(sentences) - set(audio))
    if lacking:
        raise ValueError(
            f"{source}: {len(lacking)} of {len(sentences)} transcripts have no audio (first: "
            f"{lacking[0]}). {remedy}"
        )
    silent = sorted(set(audio) - set(sentences))
    if silent:
        raise ValueError(
            f"{source}: {len(silent)} of {len(audio)} audio files have no transcript (first: "
            f"{audio[silent[0]].path}). {remedy}"
        )
    return Transcribed([audio[key] for key in sorted(audio)], dict(sentences), left_out)


def together(parts: Sequence[Transcribed]) -> Transcribed:
    """Parts of a corpus as one split; ValueError for an utterance that is in two of them."""
    sentences: dict[str, str] = {}
    for part in parts:
        if twice := sorted(part.sentences.keys() & sentences.keys()):
            raise ValueError(
                f"{len(twice)} utterances are in two of the parts of one split (first: "
                f"{twice[0]}); remove one copy"
            )
        sentences |= part.sentences
    recordings = [recording for part in parts for recording in part.recordings]
    return Transcribed(
        sorted(recordings, key=lambda recording: recording.utterance_id),
        sentences,
        sum((Counter(part.left_out) for part in parts), Counter[str]()),
    )


def write_corpus(
    out: Path,
    splits: Mapping[str, Transcribed],
    text: Iterable[str],
    *,
    limits: Limits,
    skip_unreadable: bool,
    summary: Mapping[str, object],
    max_utterance_s: Seconds | None = None,
) -> None:
    """Write text, manifests and corpus.json; decode what is taken of each split.

    Whole recordings of more than `max_utterance_s` are cut at pauses.
    """
    facts: dict[str, object] = dict(summary)
    said = (sentence for split in splits.values() for sentence in split.sentences.values())
    unsaid = UnsaidLines(text, said)
    num_lines = write_text(out, at_most(unsaid, limits.text_lines, seed=limits.seed))
    if num_lines == 0:
        raise ValueError(
            f"no line of the text is left ({unsaid.num_said} are said in train, dev or test); give "
            "another text (corpus.text)"
        )
    if unsaid.num_said:
        log.info("left out %d lines of text that are transcripts of the audio", unsaid.num_said)
    facts |= {"num_text_sentences": num_lines, "num_text_lines_said": unsaid.num_said}
    skipped: list[dict[str, str]] = []
    for split in SPLITS:
        measured = measure(
            splits[split].recordings,
            source=split,
            skip_unreadable=skip_unreadable,
            max_hours=limits.hours(split),
            seed=limits.seed,
        )
        skipped += measured.skipped
        utterances = measured.utterances
        if max_utterance_s is not None:
            utterances = cut_long_recordings(utterances, max_utterance_s)
        facts[split] = write_split(out, split, utterances)
    left_out = sum((Counter(split.left_out) for split in splits.values()), Counter[str]())
    facts |= {"num_skipped": len(skipped), "skipped": skipped, "left_out": dict(left_out)}
    write_summary(out, facts)


def write_references(out: Path, corpus: Path, splits: Mapping[str, Transcribed]) -> None:
    """Write what was said in the utterances of the manifests in `corpus`."""
    for split, utterances in read_splits(corpus).items():
        words = {u.id: splits[split].sentences[u.id].split() for u in utterances}
        write_word_references(out, split, utterances, words)


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.exists() else None  # reading it says what is wrong


def _part(recording: Recording) -> str:
    if recording.start_s is None:
        return ""
    return f"\t{recording.start_s}\t{recording.duration_s}\t{recording.channel}"


def digest_of_recordings(splits: Mapping[str, Transcribed]) -> str:
    """What of the recordings decides manifests: names, speakers and sizes of files."""
    recordings = (
        f"{split}\t{r.utterance_id}\t{r.path.name}\t{r.speaker}\t{_size(r.path)}{_part(r)}"
        for split in SPLITS
        for r in splits[split].recordings
    )
    return digest_of(recordings)


def digest_of_said_text(
    splits: Mapping[str, Transcribed],
    files: Sequence[Path],
    lines: Callable[[], Iterable[str]],
    digests: Digests,
) -> str:
    """Which lines of the text are said: they alone, not all that is said, decide what is left.

    `lines` gives the text, which is in `files`.
    """
    if not all(path.is_file() for path in files):
        return "missing"  # whoever reads the text says so
    said = {letters(sentence) for of in splits.values() for sentence in of.sentences.values()}
    return digests.remembered(
        (digests.digest_all(files), digest_of(sorted(said))),
        lambda: digest_of(sorted({letters(line) for line in lines()} & said)),
    )
