"""Recordings that a corpus names: can they be read, how long are they, how many are taken."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from unsup_asr.formats.names import shown
from unsup_asr.speech.audio import MAY_EXCEED_S, AudioFacts, check_audio
from unsup_asr.types import Seconds, Utterance

log = logging.getLogger(__name__)

_HINT = "skip_unreadable=true leaves such files out"
_BATCH = 256  # files decoded at once; a cap on the hours is looked at after each batch


@dataclass(frozen=True)
class Recording:
    """One audio file and who speaks in it; `channel`, from 1, where one is heard alone.

    Or a part of the file, which begins at `start_s` and lasts `duration_s`.
    """

    utterance_id: str
    path: Path
    speaker: str
    channel: int | None = None
    start_s: Seconds | None = None
    duration_s: Seconds | None = None


@dataclass(frozen=True)
class Measured:
    """Recordings that read from end to end, in the order given, and files left out with why."""

    utterances: list[Utterance]
    skipped: list[dict[str, str]]


def measure(
    recordings: Sequence[Recording],
    *,
    source: str,
    skip_unreadable: bool | None = None,
    max_hours: float | None = None,
    seed: int = 0,
) -> Measured:
    """Decode every file once; with `max_hours`, only as many as last so long, drawn at random.

    ValueError for a file that cannot be read, unless such files are to be skipped (None: the corpus
    has no such option), and where nothing is left. `source` names the recordings in messages.
    """
    if max_hours is not None and not max_hours > 0:
        raise ValueError(f"{source}: a cap of {max_hours} hours; expected more than 0, or null")
    order = np.arange(len(recordings))
    if max_hours is not None:
        order = np.random.default_rng(seed).permutation(len(recordings))
    found: dict[int, Utterance] = {}
    skipped: list[dict[str, str]] = []
    left_s = float("inf") if max_hours is None else 3600 * max_hours
    decoded: dict[tuple[Path, int | None], Future[AudioFacts | ValueError]] = {}
    progress = tqdm(total=len(recordings), desc=f"check audio {source}", disable=None)
    with ThreadPoolExecutor(os.cpu_count()) as pool, progress:
        for start in range(0, len(order), _BATCH):
            numbers = order[start : start + _BATCH].tolist()
            for number in numbers:
                key = recordings[number].path, recordings[number].channel
                if key not in decoded:
                    decoded[key] = pool.submit(_facts, recordings[number])
            for number in numbers:
                recording = recordings[number]
                fact = decoded[recording.path, recording.channel].result()
                if isinstance(fact, AudioFacts):
                    fact = _facts_of_part(recording, fact)
                progress.update()
                if isinstance(fact, ValueError):
                    if not skip_unreadable:
                        hint = "" if skip_unreadable is None else f". {_HINT}"
                        raise ValueError(f"{fact}{hint}") from fact
                    log.warning("skipped: %s", fact)
                    skipped.append({"file": shown(recording.path), "why": str(fact)})
                    continue
                left_s -= fact.duration_s
                if left_s < 0:
                    break
                path = str(recording.path.resolve())
                found[number] = Utterance(
                    recording.utterance_id,
                    path,
                    recording.speaker,
                    fact.duration_s,
                    fact.channel,
                    recording.start_s,
                )
            if left_s < 0:
                break
    if skipped:
        log.warning(
            "%s: %d of %d audio files skipped; corpus.json names them and says why. Mend them, or "
            "go on without",
            *(source, len(skipped), len(recordings)),
        )
    if not found:
        why = f"none of its {len(recordings)} audio files can be read"
        if left_s < 0:
            why = f"the first recording drawn is longer than the cap of {max_hours} hours"
        raise ValueError(f"{source}: {why}")
    return Measured([found[number] for number in sorted(found)], skipped)


def _facts(recording: Recording) -> AudioFacts | ValueError:
    try:
        return check_audio(recording.path, channel=recording.channel)
    except ValueError as error:
        return error


def _facts_of_part(recording: Recording, whole: AudioFacts) -> AudioFacts | ValueError:
    """What is heard of the file, as its table says; ends a little after the file's are cut."""
    if recording.start_s is None:
        return whole
    start_s, duration_s = recording.start_s, recording.duration_s
    if duration_s is None:
        duration_s = whole.duration_s - start_s
    end_s = start_s + duration_s
    if not 0 <= start_s < end_s <= whole.duration_s + MAY_EXCEED_S or start_s >= whole.duration_s:
        return ValueError(
            f"{shown(recording.path)}: utterance {recording.utterance_id!r} is to last from "
            f"{start_s:.3f} to {end_s:.3f} s; the recording lasts {whole.duration_s:.3f} s"
        )
    return AudioFacts(min(end_s, whole.duration_s) - start_s, whole.channel)
