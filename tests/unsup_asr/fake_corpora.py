"""Tiny LibriSpeech, MLS and Common Voice in their published layouts, of noise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

LIBRISPEECH = {
    "train-clean-100": {"103/1240": ["CHAPTER ONE", "MISSUS RACHEL LYNDE"], "26/495": ["A BROOK"]},
    "train-clean-360": {"14/208": ["IT WAS A DREAM", "chapter one", "OF SILENCE"]},
    "train-other-500": {"25/123319": ["AND THE SILENCE OF IT"]},
    "dev-clean": {"84/121123": ["GO DO YOU HEAR", "BUT IN LESS THAN FIVE MINUTES"]},
    "test-clean": {"61/70968": ["HE BEGAN A CONFUSED COMPLAINT", "GIVE NOT SO EARNEST A MIND"]},
}
MLS = {
    "train": ["wie der herr", "so das gescherr", "und es ward licht"],
    "dev": ["aller anfang ist schwer"],
    "test": ["morgenstund hat gold im mund"],
}
COMMON_VOICE = {
    "train": [("anna", "Guten Morgen."), ("anna", "Wie geht's?"), ("bodo", 'Er sagte "nein".')],
    "dev": [("cora", "Das ist schön.")],
    "test": [("dirk", "Auf Wiedersehen!")],
}
_COLUMNS = ("client_id", "path", "sentence_id", "sentence", "up_votes", "down_votes", "locale")


def noise(
    path: Path,
    *,
    seconds: float = 0.5,
    rate: int = 16000,
    pause: slice | None = None,
    **options: str,
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.1 * np.random.default_rng(0).standard_normal(int(seconds * rate))
    if pause is not None:
        samples[pause] *= 1e-3
    soundfile.write(path, samples, rate, **options)


def write_librispeech(root: Path) -> None:
    for subset, chapters in LIBRISPEECH.items():
        for chapter, sentences in chapters.items():
            stem = chapter.replace("/", "-")
            lines = []
            for number, sentence in enumerate(sentences):
                path = root / subset / chapter / f"{stem}-{number:04}.flac"
                noise(path, pause=slice(3200, 5680))
                lines.append(f"{stem}-{number:04} {sentence}\n")
            (root / subset / chapter / f"{stem}.trans.txt").write_text("".join(lines))


def write_mls(root: Path, *, opus: bool = False) -> None:
    folder = root / ("mls_german_opus" if opus else "mls_german")
    for split, sentences in MLS.items():
        lines = []
        for number, sentence in enumerate(sentences):
            key = f"10{number}_20_{number:06}"
            path = folder / split / "audio" / f"10{number}" / "20" / key
            if opus:
                noise(path.with_suffix(".opus"), format="OGG", subtype="OPUS")
            else:
                noise(path.with_suffix(".flac"))
            lines.append(f"{key}\t{sentence}\n")
        (folder / split / "transcripts.txt").write_text("".join(lines))
        (folder / split / "segments.txt").write_text("")
    for name, handles in (
        ("9hr", ["100_20_000000", "102_20_000002"]),
        ("1hr/0", ["100_20_000000"]),
    ):
        path = folder / "train" / "limited_supervision" / name / "handles.txt"
        path.parent.mkdir(parents=True)
        path.write_text("\n".join(handles) + "\n")


def write_common_voice(root: Path) -> None:
    folder, number = root / "de", 0
    rows: list[tuple[str, str, str]] = []
    for split, said in COMMON_VOICE.items():
        of_split = []
        for client, sentence in said:
            name = f"common_voice_de_{number}.mp3"
            noise(folder / "clips" / name, rate=32000, format="MP3")
            of_split.append((client, name, sentence))
            number += 1
        write_table(folder / f"{split}.tsv", of_split)
        rows += of_split
    rows += [("eva", f"common_voice_de_{number + i}.mp3", text) for i, text in enumerate(UNHEARD)]
    write_table(folder / "validated.tsv", rows)


UNHEARD = ["Der Hund schläft.", "guten morgen", "Die Katze auch."]  # the second is said in train


def write_table(path: Path, rows: Sequence[tuple[str, str, str]]) -> None:
    lines = ["\t".join(_COLUMNS)]
    lines += [f"{client}\t{name}\tx\t{text}\t2\t0\tde" for client, name, text in rows]
    path.write_text("\n".join(lines) + "\n", "utf-8")
