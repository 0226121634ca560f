"""Which recordings `transcribe` is given, where each transcript goes, and which are there already.

A transcript is written whole or not at all, so that what is there is done, unless it is older than
its recording or than the note beside it of the model and options that made it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unsup_asr.commands import UsageError
from unsup_asr.corpora.audio_files import counted, find_audio
from unsup_asr.formats.digests import digest_files
from unsup_asr.formats.names import shown, stem_id
from unsup_asr.formats.transcripts import SUFFIXES
from unsup_asr.formats.whole import write_whole


@dataclass(frozen=True)
class Recording:
    """An audio file, and the path of its transcript below the folder of transcripts."""

    path: Path
    transcript: Path


def find_recordings(named: Sequence[str], *, form: str, in_folder: bool) -> list[Recording]:
    """Files, and all audio in folders, whose transcripts lie as the audio does below its folder.

    UsageError for what is not there, and for two that nobody could tell apart: by their ids, or
    where each gets a file of its own (`in_folder`) by that.
    """
    paths = [Path(name) for name in named]
    if missing := [path for path in paths if not path.exists()]:
        raise UsageError(
            f"{shown(missing[0])}: no such file ({len(missing)} of {len(paths)} missing)"
        )
    found: list[Recording] = []
    for path in paths:
        if not path.is_dir():
            found.append(_recording(path, Path(path.name), form))
            continue
        listing = find_audio(path, skip_unreadable=True)
        if not listing.files:
            raise UsageError(
                f"{shown(path)}: no audio in this folder (there are: "
                f"{counted(listing.left_out) or 'no files'})"
            )
        found += [_recording(file, file.relative_to(path), form) for file in listing.files]
    names = [str(one.transcript) if in_folder else stem_id(one.path) for one in found]
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        what = "would have the transcript" if in_folder else "have the id"
        raise UsageError(
            f"{count} files {what} {shown(name)!r}, which is made of their name without its "
            "suffix: nobody could tell them apart. Rename them, or transcribe each by itself"
        )
    return found


def _recording(path: Path, below: Path, form: str) -> Recording:
    return Recording(path, below.with_name(below.stem + SUFFIXES[form]))


def not_done(
    recordings: Sequence[Recording], out: Path, *, form: str, made_by: Mapping[str, object]
) -> list[Recording]:
    """Those without a transcript in `out` by the same model and options; a note of these is left
    there, in the file `.transcribe.<form>.json`.
    """
    note = out / f".transcribe.{form}.json"
    text = json.dumps(made_by, sort_keys=True)
    if not note.is_file() or note.read_text("utf-8", errors="replace") != text:
        write_whole(note, text)
        return list(recordings)
    since = note.stat().st_mtime_ns
    return [
        one
        for one in recordings
        if not (target := out / one.transcript).is_file()
        or target.stat().st_mtime_ns < max(since, one.path.stat().st_mtime_ns)
    ]


def digest_of_model(folder: Path) -> str:
    """Of every file that a model reads."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    of_files = zip(files, digest_files(files), strict=True)
    named = (f"{path.relative_to(folder).as_posix()} {digest}" for path, digest in of_files)
    return hashlib.sha256("\n".join(named).encode(errors="surrogateescape")).hexdigest()
