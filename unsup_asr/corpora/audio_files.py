"""Audio files in a folder, in any depth; and a count of all else that lies there."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from unsup_asr.formats.folders import FolderListing, list_folder
from unsup_asr.formats.names import shown
from unsup_asr.speech.audio import AUDIO_SUFFIXES, OTHER_AUDIO_SUFFIXES

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AudioFolder:
    """Audio files of a folder, sorted; what was left out because it cannot be opened, and why; and
    how many there are of other kinds, hidden, or in a folder that is linked once more.
    """

    files: list[Path]
    skipped: list[dict[str, str]]
    left_out: dict[str, int]


def find_audio(
    folder: Path, suffixes: Collection[str] = AUDIO_SUFFIXES, *, skip_unreadable: bool
) -> AudioFolder:
    """Files with these suffixes, in any depth, links to folders followed.

    A file that cannot be opened is among them: reading it says why. ValueError for a folder or a
    link that cannot be opened, unless such are to be skipped.
    """
    if not folder.is_dir():
        raise ValueError(f"{shown(folder)}: no such folder; `audio` names one with recordings")
    listing = list_folder(folder)
    named = [path for path in listing.unreadable if path.suffix.lower() in suffixes]
    files = [path for path in listing.files if path.suffix.lower() in suffixes]
    unreadable = {path: why for path, why in listing.unreadable.items() if path not in named}
    for path, why in unreadable.items():
        if not skip_unreadable:
            raise ValueError(
                f"{shown(path)}: {why}. Mend it or remove it (skip_unreadable=true leaves such out "
                "of corpus=folder)"
            )
        log.warning("skipped: %s: %s. Mend it, and the next run reads it", shown(path), why)
    left_out = _left_out(listing, suffixes)
    if other := {kind: count for kind, count in left_out.items() if kind in OTHER_AUDIO_SUFFIXES}:
        log.warning(
            "%s: %s left out, which libsndfile cannot read. Convert them: ffmpeg -i IN OUT.wav",
            shown(folder),
            counted(other),
        )
    for path in listing.repeated:
        log.warning(
            "%s: a link to a folder that is read already, not read again; remove one of the two if "
            "its speaker should be the other",
            shown(path),
        )
    skipped = [{"file": shown(path), "why": why} for path, why in unreadable.items()]
    return AudioFolder(sorted([*files, *named]), skipped, left_out)


def counted(counts: Mapping[str, int]) -> str:
    """`3 .m4a, 2 hidden`."""
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())


def _left_out(listing: FolderListing, suffixes: Collection[str]) -> dict[str, int]:
    kinds = Counter(path.suffix.lower() or "without a suffix" for path in listing.files)
    found = {shown(kind): count for kind, count in sorted(kinds.items()) if kind not in suffixes}
    if listing.hidden:
        found["hidden"] = len(listing.hidden)
    if listing.repeated:
        found["folders linked again"] = len(listing.repeated)
    return found
