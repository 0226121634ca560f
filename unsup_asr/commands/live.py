"""Raw samples on standard input, as a microphone gives them, transcribed as they come."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np

from unsup_asr.commands import UsageError
from unsup_asr.commands.devices import compute_on
from unsup_asr.formats.transcripts import ONE_A_FILE, Transcribed, header, transcript
from unsup_asr.speech.audio import RATES_HZ, resampled
from unsup_asr.transcribe import Model, WordModel
from unsup_asr.types import Float32Array, Seconds

_LONGEST_S: Seconds = 10.0  # until what was said is final
_BLOCK_S: Seconds = 0.1
_ID = "stdin"


def transcribe_stdin(arguments: argparse.Namespace, load: Callable[[], Model | WordModel]) -> int:
    """Print stretches of at most 10 s, each as soon as it is final; 0 at the end of the samples.

    Ctrl-C ends them too: what was said before it is still printed.
    """
    _check(arguments)
    compute_on(arguments.device, arguments.precision)
    model = load()
    rate = model.acoustic.upstream.sample_rate
    blocks = resampled(_blocks(arguments.sample_rate), arguments.sample_rate, rate)
    if first := header(arguments.format, in_words=arguments.words):
        print(first, flush=True)
    num_stretches = 0
    for heard in model.hear_blocks(
        blocks, utterance_id=_ID, longest_s=_LONGEST_S, partial_s=arguments.partial
    ):
        num_stretches += 1
        found = Transcribed(heard.phones, heard.words, Path("-"), heard.end_s, heard.is_final)
        if text := transcript(arguments.format, found):
            print(text, flush=True)
    if num_stretches == 0:
        raise ValueError("no samples on stdin; expected raw 16-bit samples, such as of arecord")
    return 0


def _check(arguments: argparse.Namespace) -> None:
    low, high = RATES_HZ
    if len(arguments.audio) > 1:
        raise UsageError("- (samples on stdin) cannot be transcribed together with files")
    if arguments.sample_rate is None:
        raise UsageError(
            "- is raw samples on stdin, 16-bit signed little-endian and mono, whose rate nothing "
            "tells; say it: --sample-rate 16000"
        )
    if not low <= arguments.sample_rate <= high:
        raise UsageError(f"--sample-rate is {arguments.sample_rate}; expected {low} to {high}")
    if arguments.format in ONE_A_FILE:
        raise UsageError(
            f"--format {arguments.format} needs the end of the recording; of stdin there are tsv, "
            "txt, json and ctm"
        )
    if arguments.out is not None or arguments.channel is not None or arguments.jobs > 1:
        raise UsageError("--out, --channel and --jobs are for files, not for samples on stdin")
    if arguments.partial is not None:
        if arguments.format != "json":
            raise UsageError(
                "--partial needs --format json, whose is_final tells what may still change"
            )
        if not 0.1 <= arguments.partial <= _LONGEST_S:
            raise UsageError(
                f"--partial is {arguments.partial}; expected 0.1 to {_LONGEST_S:g} seconds"
            )
    if sys.stdin.isatty():
        raise UsageError(
            "stdin is a terminal; expected raw samples, such as from "
            f"arecord -t raw -f S16_LE -c 1 -r {arguments.sample_rate} | unsup-asr transcribe ..."
        )


def _blocks(sample_rate: int) -> Iterator[Float32Array]:
    """Samples (N,) in [-1, 1) as they come; ValueError where they end in half a sample."""
    size, rest = 2 * max(1, round(_BLOCK_S * sample_rate)), b""
    with _until_interrupted() as read:
        while content := read(sys.stdin.fileno(), size):
            content = rest + content
            whole = len(content) // 2 * 2
            rest = content[whole:]
            if whole:
                yield np.frombuffer(content[:whole], "<i2").astype(np.float32) / np.float32(32768)
    if rest:
        raise ValueError(
            "the samples on stdin end with half a sample; expected 16 bits each "
            "(ffmpeg -i IN -f s16le -ac 1 -ar RATE -)"
        )


@contextmanager
def _until_interrupted() -> Iterator[Callable[[int, int], bytes]]:
    """`os.read` until Ctrl-C, which is the end of what is read and interrupts nothing else."""
    is_over = is_reading = False

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        nonlocal is_over
        is_over = True
        if is_reading:
            raise KeyboardInterrupt

    def read(stream: int, size: int) -> bytes:
        nonlocal is_reading
        try:
            is_reading = True
            return b"" if is_over else os.read(stream, size)
        except KeyboardInterrupt:
            if not is_over:  # another signal that asks to end
                raise
            return b""
        finally:
            is_reading = False

    before = signal.signal(signal.SIGINT, end)
    try:
        yield read
    finally:
        signal.signal(signal.SIGINT, before)
