"""`transcribe`: audio files to phones, or words, with start, end and confidence."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from unsup_asr.commands import UsageError
from unsup_asr.commands.devices import compute_on
from unsup_asr.formats.names import shown, shown_in_lines, stem_id
from unsup_asr.formats.textgrid import textgrid
from unsup_asr.formats.whole import write_whole
from unsup_asr.progress import progress
from unsup_asr.speech.audio import check_audio
from unsup_asr.transcribe import load_model, load_word_model
from unsup_asr.types import Hypothesis, WordHypothesis

_SUFFIXES = {"tsv": ".tsv", "txt": ".txt", "json": ".json", "textgrid": ".TextGrid"}
_TIMES = ("start_s", "end_s", "confidence")
_Heard = tuple[WordHypothesis | None, Hypothesis]


def transcribe(arguments: argparse.Namespace) -> int:
    """Print what is said in each file, or write one file for each; 1 when some cannot be read."""
    audio = [Path(name) for name in arguments.audio]
    _check(arguments, audio)
    compute_on(arguments.device, arguments.precision)
    listen = _listener(
        Path(arguments.model),
        in_words=arguments.words,
        channel=arguments.channel,
        trust=arguments.trust,
    )
    columns = ("utterance_id", "word" if arguments.words else "phone", *_TIMES)
    header = "\t".join(columns) if arguments.format == "tsv" else ""
    out = None if arguments.out is None else Path(arguments.out)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    elif header:
        print(header)
    num_failed = 0
    for path in progress(audio, "transcribe"):
        try:
            words, phones = listen(path)
            text = _text(words, phones, path, arguments)
        except ValueError as error:
            print(f"unsup-asr transcribe: {shown_in_lines(str(error))}", file=sys.stderr)
            num_failed += 1
            continue
        if out is None:
            name = f"{phones.utterance_id}\t" if arguments.format == "txt" else ""
            print(name + text, end="\n" if name or text else "", flush=True)
        else:
            target = out / (path.stem + _SUFFIXES[arguments.format])
            write_whole(target, f"{header}\n{text}\n".lstrip("\n"))
    if out is not None:
        print(f"{len(audio) - num_failed} of {len(audio)} files transcribed into {out}")
    return int(num_failed > 0)


def _listener(
    folder: Path, *, in_words: bool, channel: int | None, trust: bool
) -> Callable[[Path], _Heard]:
    """What makes words, if they are wanted, and phones of a recording."""
    if in_words:
        return partial(load_word_model(folder, trust=trust).transcribe, channel=channel)
    model = load_model(folder, trust=trust)
    return lambda path: (None, model.transcribe(path, channel=channel))


def _check(arguments: argparse.Namespace, audio: list[Path]) -> None:
    if not Path(arguments.model).is_dir():
        raise UsageError(f"{arguments.model}: no such folder; expected one that holds a model")
    if missing := [path for path in audio if not path.is_file()]:
        raise UsageError(
            f"{shown(missing[0])}: no such file ({len(missing)} of {len(audio)} missing)"
        )
    if arguments.out is None and arguments.format == "textgrid" and len(audio) > 1:
        raise UsageError("a TextGrid holds one recording; name a folder for them with --out")
    utterance_id, count = Counter(map(stem_id, audio)).most_common(1)[0]
    if count > 1:
        raise UsageError(
            f"{count} files have the id {utterance_id!r}, which is their name without its suffix: "
            "nobody could tell them apart. Rename them, or transcribe each by itself"
        )


def _text(
    words: WordHypothesis | None, phones: Hypothesis, path: Path, arguments: argparse.Namespace
) -> str:
    """One recording in one of the formats, without a last line break."""
    form = arguments.format
    if form == "textgrid":
        duration_s = check_audio(path, channel=arguments.channel).duration_s
        return textgrid(phones, duration_s=duration_s, words=words).rstrip("\n")
    if form == "txt":
        return " ".join(phones.phones if words is None else words.words)
    phone_rows = _rows(phones, phones.phones)
    word_rows = [] if words is None else _rows(words, words.words)
    if form == "json":
        found: dict[str, object] = {"utterance_id": phones.utterance_id, "audio": str(path)}
        if words is not None:
            found["words"] = [dict(zip(("word", *_TIMES), row, strict=True)) for row in word_rows]
        found["phones"] = [dict(zip(("phone", *_TIMES), row, strict=True)) for row in phone_rows]
        return json.dumps(found, ensure_ascii=False)
    rows = phone_rows if words is None else word_rows
    return "\n".join("\t".join([phones.utterance_id, *map(str, row)]) for row in rows)


def _rows(
    timed: Hypothesis | WordHypothesis, labels: tuple[str, ...]
) -> list[tuple[str, float, float, float]]:
    return [
        (label, round(start, 4), round(end, 4), round(confidence, 4))
        for label, start, end, confidence in zip(
            labels, timed.starts_s, timed.ends_s, timed.confidences, strict=True
        )
    ]
