"""One recording's phones, and words, in each format that `transcribe` writes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from unsup_asr.formats.eaf import eaf
from unsup_asr.formats.subtitles import srt, subtitles, vtt
from unsup_asr.formats.textgrid import textgrid
from unsup_asr.types import Hypothesis, Seconds, WordHypothesis

SUFFIXES = {
    **{"tsv": ".tsv", "txt": ".txt", "json": ".json", "ctm": ".ctm", "textgrid": ".TextGrid"},
    **{"srt": ".srt", "vtt": ".vtt", "eaf": ".eaf"},
}
ONE_A_FILE = ("textgrid", "srt", "vtt", "eaf")  # formats of one recording
_TIMES = ("start_s", "end_s", "confidence")


@dataclass(frozen=True)
class Transcribed:
    """What was recognised in one recording; `words` is None where they were not looked for."""

    phones: Hypothesis
    words: WordHypothesis | None
    audio: Path
    duration_s: Seconds
    is_final: bool | None = None  # of a recording that is still going on; None for a file

    @property
    def labels(self) -> tuple[str, ...]:
        """Words if they were looked for, else phones."""
        return self.phones.phones if self.words is None else self.words.words


def header(form: str, *, in_words: bool) -> str:
    """The first line of a file; empty where the format has none."""
    columns = ("utterance_id", "word" if in_words else "phone", *_TIMES)
    return "\t".join(columns) if form == "tsv" else ""


def transcript(form: str, found: Transcribed) -> str:
    """The recording in a format of SUFFIXES, without header and last line break."""
    match form:
        case "tsv":
            return "\n".join("\t".join(map(str, [_id(found), *row])) for row in _rows(found))
        case "txt":
            return " ".join(found.labels)
        case "json":
            return _json(found)
        case "ctm":
            rows = _rows(found)
            return "\n".join(
                f"{_id(found)} 1 {start:.3f} {end - start:.3f} {label} {confidence:.4f}"
                for label, start, end, confidence in rows
            )
        case "textgrid":
            grid = textgrid(found.phones, duration_s=found.duration_s, words=found.words)
            return grid.rstrip("\n")
        case "eaf":
            return eaf(found.phones, audio=found.audio, words=found.words)
        case "srt" | "vtt":
            timed = found.phones if found.words is None else found.words
            cues = list(subtitles(found.labels, timed.starts_s, timed.ends_s))
            return (srt(cues) if form == "srt" else vtt(cues)).rstrip("\n")
    raise ValueError(f"no format {form!r}; expected one of {', '.join(SUFFIXES)}")


def _id(found: Transcribed) -> str:
    return found.phones.utterance_id


def _json(found: Transcribed) -> str:
    record: dict[str, object] = {"utterance_id": _id(found), "audio": str(found.audio)}
    if found.is_final is not None:
        record["is_final"] = found.is_final
    if found.words is not None:
        record["words"] = records("word", found.words.words, found.words)
    record["phones"] = records("phone", found.phones.phones, found.phones)
    return json.dumps(record, ensure_ascii=False)


def records(
    name: str, labels: tuple[str, ...], timed: Hypothesis | WordHypothesis
) -> list[dict[str, object]]:
    """Labels under a name, with their times and confidences, as JSON has them."""
    return [dict(zip((name, *_TIMES), row, strict=True)) for row in _timed(labels, timed)]


def _rows(found: Transcribed) -> list[tuple[str, float, float, float]]:
    return _timed(found.labels, found.phones if found.words is None else found.words)


def _timed(
    labels: tuple[str, ...], timed: Hypothesis | WordHypothesis
) -> list[tuple[str, float, float, float]]:
    return [
        (label, round(start, 4), round(end, 4), round(confidence, 4))
        for label, start, end, confidence in zip(
            labels, timed.starts_s, timed.ends_s, timed.confidences, strict=True
        )
    ]
