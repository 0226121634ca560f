"""Manifests of lhotse as JSON lines, plain or .gz: recordings and supervisions, or cuts.

Source: lhotse's documentation, "Representing a corpus" and "Cuts". lhotse itself is not needed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unsup_asr.corpora.prepared import PreparedCorpus
from unsup_asr.corpora.recordings import Recording
from unsup_asr.corpora.transcribed import Transcribed
from unsup_asr.formats.checked import reading
from unsup_asr.formats.lines import numbered_lines
from unsup_asr.formats.names import id_of, shown

_SEPARATOR = ","


@dataclass(kw_only=True)
class LhotseCorpus(PreparedCorpus):
    """Options. `train`, `dev` and `test` are files, several with commas between: one of cuts, or
    one of recordings and one of supervisions (or of recordings alone). Relative paths of audio are
    relative to `root`.
    """

    root: str = "."

    def transcript_files(self, source: str) -> list[Path]:
        """All files: cuts hold what was said among other things."""
        return _files(source)

    def read(self, source: str) -> Transcribed:
        """An utterance for each cut; or for each supervision, or recording without any.

        ValueError with file and line for what is malformed, or would need lhotse to be computed:
        mixed and padded cuts, transforms, sources that are no files.
        """
        rows = [row for path in _files(source) for row in _rows(path)]
        _check_ids(rows)
        of_kind = {kind: [row for row in rows if row.kind == kind] for kind in _KINDS}
        if of_kind["cut"] and (of_kind["recording"] or of_kind["supervision"]):
            raise ValueError(
                f"{source}: cuts beside recordings or supervisions; expected either, cuts have both"
            )
        if of_kind["cut"]:
            return _of_cuts(of_kind["cut"], Path(self.root))
        if not of_kind["recording"]:
            raise ValueError(f"{source}: no recordings; expected them beside the supervisions")
        return _of_supervisions(of_kind["recording"], of_kind["supervision"], Path(self.root))


_KINDS = ("recording", "supervision", "cut")


@dataclass(frozen=True)
class _Row:
    record: Mapping[str, Any]
    kind: str
    where: str

    def of(self, name: str, kind: type | tuple[type, ...]) -> Any:
        """A field that must be there."""
        value = self.record.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(f"{self.where}: {name} is {value!r}; expected {_said(kind)}")
        return value


def _said(kind: type | tuple[type, ...]) -> str:
    return {str: "a string", list: "a list", dict: "an object"}.get(
        kind if isinstance(kind, type) else float, "a number"
    )


_NUMBER = (int, float)


def _files(source: str) -> list[Path]:
    return [Path(name.strip()) for name in source.split(_SEPARATOR) if name.strip()]


def _rows(path: Path) -> Iterator[_Row]:
    if not path.is_file():
        raise ValueError(f"{shown(path)}: no such file; expected a manifest of lhotse (.jsonl.gz)")
    num_rows = 0
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        where = f"{shown(path)}:{number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"{where}: not JSON ({error}); expected a manifest of lhotse as JSON lines, plain "
                "or .gz"
            ) from error
        if not isinstance(record, dict) or not isinstance(record.get("id"), str):
            raise ValueError(f"{where}: no object with an id; expected what lhotse writes")
        num_rows += 1
        yield _Row(record, _kind(record, where), where)
    if not num_rows:
        raise ValueError(f"{shown(path)}: no lines; expected one record in each")


def _kind(record: Mapping[str, Any], where: str) -> str:
    if "sources" in record:
        return "recording"
    if "recording_id" in record and "supervisions" not in record:
        return "supervision"
    if record.get("type") in ("MixedCut", "PaddingCut"):
        raise ValueError(
            f"{where}: a {record['type']}, whose audio lhotse computes; save it to files first "
            "(CutSet.save_audios)"
        )
    if "recording" in record:
        return "cut"
    raise ValueError(
        f"{where}: keys {sorted(record)[:8]}; expected a recording, a supervision or a cut with "
        "audio"
    )


def _of_cuts(rows: list[_Row], root: Path) -> Transcribed:
    recordings: list[Recording] = []
    sentences: dict[str, str] = {}
    for row in rows:
        recording = _Row(row.of("recording", dict), "recording", f"{row.where}: recording")
        said = [
            _Row(of, "supervision", f"{row.where}: supervision")
            for of in row.record.get("supervisions") or []
        ]
        speakers = {of.record["speaker"] for of in said if of.record.get("speaker")}
        if len(speakers) > 1:
            raise ValueError(
                f"{row.where}: cut {row.record['id']!r} has {len(speakers)} speakers; expected "
                "one: CutSet.trim_to_supervisions cuts each out"
            )
        speaker = speakers.pop() if speakers else str(recording.record.get("id"))
        recordings.append(_utterance(row, recording, speaker, row, root))
        ordered = sorted(said, key=lambda of: of.of("start", _NUMBER))
        text = " ".join(of.of("text", str) for of in ordered if of.record.get("text"))
        _add(sentences, recordings[-1].utterance_id, text)
    return Transcribed(recordings, sentences)


def _of_supervisions(recorded: list[_Row], said: list[_Row], root: Path) -> Transcribed:
    by_id = {row.record["id"]: row for row in recorded}
    recordings: list[Recording] = []
    sentences: dict[str, str] = {}
    for row in said:
        recording = by_id.get(row.of("recording_id", str))
        if recording is None:
            raise ValueError(
                f"{row.where}: recording {row.record['recording_id']!r} is in none of the "
                "manifests; name its file beside this one, with a comma between"
            )
        speaker = row.record.get("speaker") or row.record["recording_id"]
        recordings.append(_utterance(row, recording, str(speaker), row, root))
        _add(sentences, recordings[-1].utterance_id, str(row.record.get("text") or ""))
    for row in [] if said else recorded:
        recordings.append(_utterance(row, row, row.record["id"], None, root))
    return Transcribed(recordings, sentences)


def _utterance(
    row: _Row, recording: _Row, speaker: str, span: _Row | None, root: Path
) -> Recording:
    """What `span` says is heard of a recording, or all of it."""
    path, num_channels = _source(recording, root)
    start_s = duration_s = channel = None
    if span is not None:
        start, duration = span.of("start", _NUMBER), span.of("duration", _NUMBER)
        channel = _channel(span, num_channels)
        if start > 0 or abs(duration - recording.of("duration", _NUMBER)) > 1e-3:
            start_s, duration_s = float(start), float(duration)
    return Recording(id_of(row.record["id"]), path, id_of(speaker), channel, start_s, duration_s)


def _source(recording: _Row, root: Path) -> tuple[Path, int]:
    sources = recording.of("sources", list)
    if recording.record.get("transforms"):
        raise ValueError(
            f"{recording.where}: has transforms, which lhotse computes; save the audio to files "
            "first (CutSet.save_audios)"
        )
    if len(sources) != 1 or not isinstance(sources[0], dict) or sources[0].get("type") != "file":
        kinds = [of.get("type") if isinstance(of, dict) else of for of in sources]
        raise ValueError(
            f"{recording.where}: sources of type {kinds}; expected one file, commands are not run "
            "and nothing is downloaded"
        )
    source = _Row(sources[0], "source", recording.where)
    with reading(Path(recording.where), "a path to audio"):
        path = root / source.of("source", str)
        is_there = path.is_file()
    if not is_there:
        raise ValueError(
            f"{recording.where}: no such audio file: {shown(path)}. Relative paths are relative to "
            "corpus.root"
        )
    return path, len(source.of("channels", list))


def _channel(span: _Row, num_channels: int) -> int | None:
    """From 1; None where all of a recording's channels are named, or its only one."""
    named = span.record.get("channel", 0)
    channels = named if isinstance(named, list) else [named]
    if not all(isinstance(c, int) and 0 <= c < num_channels for c in channels):
        raise ValueError(
            f"{span.where}: channel {named!r} of a recording with {num_channels}; expected one "
            "from 0, or all"
        )
    if len(set(channels)) == num_channels:
        return None
    if len(channels) > 1:
        raise ValueError(f"{span.where}: channels {named!r}; expected one, or all")
    return channels[0] + 1


def _add(sentences: dict[str, str], utterance_id: str, text: str) -> None:
    if text.strip():
        sentences[utterance_id] = text


def _check_ids(rows: list[_Row]) -> None:
    seen: dict[tuple[str, str], _Row] = {}
    for row in rows:
        first = seen.setdefault((row.kind, id_of(row.record["id"])), row)
        if first is not row:
            raise ValueError(
                f"{row.where}: {row.kind} {row.record['id']!r} again (first: {first.where}); "
                "expected each id once"
            )
