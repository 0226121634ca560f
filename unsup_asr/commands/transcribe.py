"""`transcribe`: audio files to phones, or words, with start, end and confidence."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.synchronize import Event
from pathlib import Path

from unsup_asr import compute
from unsup_asr.commands import UsageError, folder_named
from unsup_asr.commands.devices import compute_on
from unsup_asr.commands.live import transcribe_stdin
from unsup_asr.commands.recordings import Recording, digest_of_model, find_recordings, not_done
from unsup_asr.formats.names import shown_in_lines
from unsup_asr.formats.transcripts import ONE_A_FILE, Transcribed, header, transcript
from unsup_asr.formats.whole import write_whole
from unsup_asr.progress import progress_bar
from unsup_asr.recognise.stretches import joined
from unsup_asr.speech.audio import announced_s
from unsup_asr.transcribe import Model, WordModel, load_model, load_word_model
from unsup_asr.types import Seconds

STDIN = "-"


def transcribe(arguments: argparse.Namespace) -> int:
    """Print what is said in each file, or write one file for each; 1 when some cannot be read."""
    folder_named(arguments.model, "one that holds a model")
    if arguments.jobs < 1:
        raise UsageError(f"--jobs is {arguments.jobs}; expected 1 or more")
    if STDIN in arguments.audio:
        return transcribe_stdin(arguments, partial(_load, arguments))
    if arguments.sample_rate is not None or arguments.partial is not None:
        raise UsageError("--sample-rate and --partial belong to raw samples on stdin (AUDIO is -)")
    out = None if arguments.out is None else Path(arguments.out)
    recordings = find_recordings(arguments.audio, form=arguments.format, in_folder=out is not None)
    if out is None and arguments.format in ONE_A_FILE and len(recordings) > 1:
        raise UsageError(
            f"a file of --format {arguments.format} holds one recording; name a folder for them "
            "with --out"
        )
    compute_on(arguments.device, arguments.precision)
    to_do = recordings
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        made_by = {name: getattr(arguments, name) for name in ("words", "channel", "precision")}
        made_by["model"] = digest_of_model(Path(arguments.model))
        to_do = not_done(recordings, out, form=arguments.format, made_by=made_by)
    num_failed = _transcribe_all(arguments, to_do, out)
    if out is not None:
        before = len(recordings) - len(to_do)
        print(
            f"{len(recordings) - num_failed} of {len(recordings)} files transcribed into {out}"
            + (f", {before} of them before" if before else "")
        )
    return int(num_failed > 0)


@dataclass(frozen=True)
class _Done:
    """One recording, whose transcript is in its file, or here; or what is wrong with it."""

    text: str
    duration_s: Seconds = 0.0
    fault: str | None = None


def _transcribe_all(
    arguments: argparse.Namespace, recordings: Sequence[Recording], out: Path | None
) -> int:
    """How many cannot be read. Prints transcripts that go into no folder, and how fast it went."""
    if not recordings:
        return 0
    num_failed, audio_s = 0, 0.0
    seconds = {one.path: announced_s(one.path) for one in recordings}
    with (
        progress_bar(round(sum(seconds.values())), "transcribe", unit="s") as step,
        _transcribers(arguments, out, min(arguments.jobs, len(recordings))) as transcribed,
    ):
        if out is None and (first := header(arguments.format, in_words=arguments.words)):
            print(first)  # now that the model is there
        began = time.monotonic()
        for recording, done in transcribed(recordings, step):
            if done.fault is not None:
                message = f"unsup-asr transcribe: {shown_in_lines(done.fault)}"
                print(message, file=sys.stderr, flush=True)
                num_failed += 1
            elif out is None:
                print(done.text, end="\n" if done.text else "", flush=True)
            audio_s += done.duration_s
            if arguments.jobs > 1:
                step(seconds[recording.path])
        took_s = time.monotonic() - began
    if audio_s > 0:
        print(
            f"{audio_s:.1f} s of audio in {took_s:.1f} s, real-time factor "
            f"{took_s / audio_s:.3f}, on {compute.device()}"
            + (f", {arguments.jobs} processes" if arguments.jobs > 1 else ""),
            file=sys.stderr,
        )
    return num_failed


_Step = Callable[[Seconds], None]
_Transcribe = Callable[[Sequence[Recording], _Step], Iterator[tuple[Recording, _Done]]]


@contextmanager
def _transcribers(
    arguments: argparse.Namespace, out: Path | None, num_processes: int
) -> Iterator[_Transcribe]:
    """What transcribes: this process, or several that end when it does, however it does."""
    if arguments.jobs == 1:
        model = _load(arguments)
        yield lambda recordings, step: (
            (one, _transcribed(model, arguments, one, out, step)) for one in recordings
        )
        return
    context = multiprocessing.get_context("spawn")
    is_over = context.Event()
    pool = ProcessPoolExecutor(
        num_processes, context, _begin, (arguments, out, os.getpid(), is_over)
    )

    def side_by_side(
        recordings: Sequence[Recording], step: _Step
    ) -> Iterator[tuple[Recording, _Done]]:
        del step  # other processes do not report what part of a file is done
        futures = {pool.submit(_in_worker, one): one for one in recordings}
        finished = futures if out is None else as_completed(futures)  # printed in order
        for future in finished:
            yield futures[future], future.result()

    try:
        yield side_by_side
    except BrokenProcessPool as error:
        raise RuntimeError(
            "a process of --jobs ended unexpectedly, maybe for want of memory; what it had "
            "finished stays. Give the same command with fewer --jobs"
        ) from error
    except BaseException:
        is_over.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


_worker: Callable[[Recording], _Done] | None = None  # of a process of --jobs


def _begin(arguments: argparse.Namespace, out: Path | None, parent: int, is_over: Event) -> None:
    """In a process of --jobs: load the model, and end with the process that asked for it."""
    global _worker

    def watch() -> None:
        while not is_over.wait(0.5) and os.getppid() == parent:
            pass
        if is_over.is_set() or os.getppid() != parent:
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 1) // arguments.jobs))
    compute_on(arguments.device, arguments.precision)
    model = _load(arguments)
    _worker = lambda one: _transcribed(model, arguments, one, out, lambda _: None)  # noqa: E731


def _in_worker(recording: Recording) -> _Done:
    assert _worker is not None, "`_begin` runs first"
    return _worker(recording)


def _transcribed(
    model: Model | WordModel,
    arguments: argparse.Namespace,
    recording: Recording,
    out: Path | None,
    step: _Step,
) -> _Done:
    form, path = arguments.format, recording.path
    try:
        stretches = []
        for stretch in model.hear(path, channel=arguments.channel):
            step(stretch.end_s - stretch.start_s)
            stretches.append(stretch)
        heard = joined(stretches)
        text = transcript(form, Transcribed(heard.phones, heard.words, path, heard.end_s))
    except ValueError as error:
        return _Done("", fault=str(error))
    if out is None:
        name = f"{heard.phones.utterance_id}\t" if form == "txt" else ""
        return _Done(name + text, heard.end_s)
    target = out / recording.transcript
    target.parent.mkdir(parents=True, exist_ok=True)
    first = header(form, in_words=arguments.words)
    write_whole(target, f"{first}\n{text}\n".lstrip("\n"))
    return _Done("", heard.end_s)


def _load(arguments: argparse.Namespace) -> Model | WordModel:
    load = load_word_model if arguments.words else load_model
    return load(Path(arguments.model), trust=arguments.trust)
