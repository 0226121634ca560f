"""TIMIT on disk as it was published: which recordings there are, and their .PHN and .WRD files.

`<root>/{TRAIN,TEST}/DR1..8/<speaker>/<sentence>.{WAV,PHN,WRD,TXT}`, all in upper or all in lower
case; .WAV is NIST SPHERE, or RIFF where somebody converted it under the same name.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from unsup_asr.formats.lines import numbered_lines

SAMPLE_RATE = 16000  # of the sample numbers in .PHN and .WRD
PORTIONS = {"TRAIN": 4620, "TEST": 1680}  # recordings; 462 and 168 speakers with 10 each
SENTENCES_A_SPEAKER = 10
_SENTENCE = re.compile(r"(SA|SI|SX)\d+", re.IGNORECASE)
_KINDS = (".wav", ".phn", ".wrd")


@dataclass(frozen=True)
class TimitUtterance:
    """One recording. The id is as in published lists: `FADG0_SI1279`."""

    portion: str  # TRAIN or TEST
    speaker: str
    sentence: str
    audio: Path
    phones: Path
    words: Path

    @property
    def id(self) -> str:
        """Speaker and sentence."""
        return f"{self.speaker}_{self.sentence}"

    @property
    def kind(self) -> str:
        """SA (two sentences that everybody reads), SX (compact) or SI (diverse)."""
        return self.sentence[:2]


@dataclass(frozen=True)
class Labelled:
    """A label over samples [start, end)."""

    start: int
    end: int
    label: str


def find_utterances(root: Path, *, allow_incomplete: bool) -> list[TimitUtterance]:
    """All recordings, sorted by id; ValueError says what is missing, or is there twice."""
    found: list[TimitUtterance] = []
    for portion, expected in PORTIONS.items():
        files = _find_files(_portion_folder(root, portion))
        utterances = [
            TimitUtterance(portion, speaker, sentence, of[".wav"], of[".phn"], of[".wrd"])
            for (speaker, sentence), of in files.items()
        ]
        if not allow_incomplete and len(utterances) != expected:
            raise ValueError(
                f"{root}: {len(utterances)} recordings in {portion}, TIMIT has {expected}"
                f"{_short_speakers(utterances)}. Copy the corpus again, or set "
                "corpus.allow_incomplete=true for a part of it, whose results do not compare"
            )
        found += utterances
    return sorted(found, key=lambda utterance: utterance.id)


def read_labels(path: Path) -> list[Labelled]:
    """The lines `start end label` of a .PHN or .WRD file; ValueError names the line."""
    found: list[Labelled] = []
    for number, line in numbered_lines(path, encoding="latin-1"):
        if not line.strip():
            continue
        cells = line.split()
        if len(cells) != 3 or not (cells[0].isdecimal() and cells[1].isdecimal()):
            raise ValueError(f"{path}:{number}: {line!r}; expected two sample numbers and a label")
        label = Labelled(int(cells[0]), int(cells[1]), cells[2])
        if label.end < label.start or (found and label.start < found[-1].start):
            raise ValueError(f"{path}:{number}: {line!r} ends or begins too early; copy it again")
        found.append(label)
    if not found:
        raise ValueError(f"{path}: no labels; expected `start end label` on each line")
    return found


def _portion_folder(root: Path, portion: str) -> Path:
    if not root.is_dir():
        raise ValueError(
            f"{root}: no such folder; corpus.root names the folder of TIMIT with TRAIN and TEST"
        )
    by_name = {path.name.upper(): path for path in sorted(root.iterdir()) if path.is_dir()}
    if portion in by_name:
        return by_name[portion]
    names = (portion, portion.lower())
    below = [path for path in by_name.values() for name in names if (path / name).is_dir()]
    hint = f". {below[0]} has one: set corpus.root to it" if below else ""
    raise ValueError(
        f"{root}: no folder {portion}; expected TRAIN and TEST, as TIMIT was published{hint}"
    )


def _find_files(folder: Path) -> dict[tuple[str, str], dict[str, Path]]:
    """Files of each (speaker, sentence) by suffix; every recording has all of `_KINDS`."""
    files: dict[tuple[str, str], dict[str, Path]] = {}
    for path in sorted(folder.glob("*/*/*")):
        suffix = path.suffix.lower()
        if suffix not in _KINDS or not _SENTENCE.fullmatch(path.stem):
            continue
        of = files.setdefault((path.parent.name.upper(), path.stem.upper()), {})
        if suffix in of:
            raise ValueError(f"{of[suffix]} and {path} are the same recording; remove one")
        of[suffix] = path
    for suffix in _KINDS:
        lacking = [of for of in files.values() if suffix not in of]
        if lacking:
            example = min(path for of in lacking for path in of.values())
            raise ValueError(
                f"{folder}: {len(lacking)} of {len(files)} utterances have no "
                f"{suffix.upper()} file (first: beside {example}). Copy the corpus again"
            )
    if not files:
        raise ValueError(
            f"{folder}: no recordings; expected DR1..DR8/<speaker>/<sentence>.WAV with .PHN and "
            ".WRD beside each"
        )
    return files


def _short_speakers(utterances: list[TimitUtterance]) -> str:
    counts = Counter(utterance.speaker for utterance in utterances)
    short = [speaker for speaker, count in sorted(counts.items()) if count != SENTENCES_A_SPEAKER]
    if not short:
        return f", {len(counts)} speakers"
    return (
        f"; {len(short)} of {len(counts)} speakers have another number than "
        f"{SENTENCES_A_SPEAKER} (first: {short[0]}, {counts[short[0]]})"
    )
