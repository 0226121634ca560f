"""`transcribe`: audio files to phones with start, end and confidence."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

from unsup_asr.audio import duration_s
from unsup_asr.commands import UsageError
from unsup_asr.progress import progress
from unsup_asr.textgrid import textgrid
from unsup_asr.transcribe import load_model
from unsup_asr.types import Hypothesis

_SUFFIXES = {"tsv": ".tsv", "json": ".json", "textgrid": ".TextGrid"}
_COLUMNS = ("utterance_id", "phone", "start_s", "end_s", "confidence")


def transcribe(arguments: argparse.Namespace) -> int:
    """Print what is said in each file, or write one file for each; 1 when some cannot be read."""
    audio = [Path(name) for name in arguments.audio]
    _check(arguments, audio)
    model = load_model(Path(arguments.model))
    header = "\t".join(_COLUMNS) if arguments.format == "tsv" else ""
    out = None if arguments.out is None else Path(arguments.out)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    elif header:
        print(header)
    num_failed = 0
    for path in progress(audio, "transcribe"):
        try:
            text = _text(model.transcribe(path), path, arguments.format)
        except ValueError as error:
            print(f"unsup-asr transcribe: {error}", file=sys.stderr)
            num_failed += 1
            continue
        if out is None:
            print(text, end="\n" if text else "", flush=True)
        else:
            target = out / (path.stem + _SUFFIXES[arguments.format])
            partial = target.with_name(target.name + ".partial")
            partial.write_text(f"{header}\n{text}\n".lstrip("\n"), "utf-8")
            partial.replace(target)
    if out is not None:
        print(f"{len(audio) - num_failed} of {len(audio)} files transcribed into {out}")
    return int(num_failed > 0)


def _check(arguments: argparse.Namespace, audio: list[Path]) -> None:
    if not Path(arguments.model).is_dir():
        raise UsageError(f"{arguments.model}: no such folder; expected one that holds a model")
    if missing := [path for path in audio if not path.is_file()]:
        raise UsageError(f"{missing[0]}: no such file ({len(missing)} of {len(audio)} missing)")
    if arguments.out is None and arguments.format == "textgrid" and len(audio) > 1:
        raise UsageError("a TextGrid holds one recording; name a folder for them with --out")
    stem, count = Counter(path.stem for path in audio).most_common(1)[0]
    if arguments.out is not None and count > 1:
        raise UsageError(f"{count} files are named {stem!r}: they would overwrite one another")


def _text(hypothesis: Hypothesis, path: Path, form: str) -> str:
    """One recording in one of the formats, without a last line break."""
    if form == "textgrid":
        return textgrid(hypothesis, duration_s=duration_s(path)).rstrip("\n")
    rows = [
        (phone, round(start, 4), round(end, 4), round(confidence, 4))
        for phone, start, end, confidence in zip(
            hypothesis.phones,
            hypothesis.starts_s,
            hypothesis.ends_s,
            hypothesis.confidences,
            strict=True,
        )
    ]
    if form == "json":
        phones = [dict(zip(_COLUMNS[1:], row, strict=True)) for row in rows]
        found = {"utterance_id": hypothesis.utterance_id, "audio": str(path), "phones": phones}
        return json.dumps(found, ensure_ascii=False)
    return "\n".join("\t".join([hypothesis.utterance_id, *map(str, row)]) for row in rows)
