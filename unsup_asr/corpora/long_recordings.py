"""Long recordings as utterances: cut at pauses, the audio left where it is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from unsup_asr.speech.audio import read_blocks
from unsup_asr.speech.pieces import cut_in_pieces
from unsup_asr.types import Seconds, Utterance

_RATE = 16000  # at which pauses are looked for


def cut_long_recordings(utterances: Sequence[Utterance], longest_s: Seconds) -> list[Utterance]:
    """Utterances of at most `longest_s`, in the order given; shorter recordings stay whole.

    The id of a part is the recording's with its start and end in milliseconds behind it, in as many
    digits as keep them in order. A part of a recording is never cut again.
    """

    def parts(utterance: Utterance) -> list[Utterance]:
        if utterance.start_s is not None or utterance.duration_s <= longest_s:
            return [utterance]
        return _cut(utterance, longest_s)

    progress = tqdm(total=len(utterances), desc="cut at pauses", disable=None)
    with ThreadPoolExecutor(os.cpu_count()) as pool, progress:
        found: list[Utterance] = []
        for of_one in pool.map(parts, utterances):
            progress.update()
            found += of_one
    return found


def _cut(utterance: Utterance, longest_s: Seconds) -> list[Utterance]:
    blocks = read_blocks(Path(utterance.audio), sample_rate=_RATE, channel=utterance.channel)
    found: list[Utterance] = []
    for piece in cut_in_pieces(blocks, _RATE, longest_s=longest_s, around_s=0.0):
        start_s, end_s = piece.start / _RATE, min(piece.end / _RATE, utterance.duration_s)
        if end_s <= start_s:  # the last sample of a recording at another rate
            continue
        span = f"{round(1000 * start_s):09d}-{round(1000 * end_s):09d}"
        found.append(
            replace(
                utterance,
                id=f"{utterance.id}-{span}",
                start_s=start_s,
                duration_s=end_s - start_s,
            )
        )
    return found
