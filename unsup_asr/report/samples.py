"""Samples of a run that a page lets one see and hear: their sound, what was said, what was found.

They are chosen by a hash of their ids, which knows nothing of what was said or found, so that two
runs on one test set show the same ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from unsup_asr.formats.checked import read_json
from unsup_asr.formats.finished import as_written
from unsup_asr.formats.hypotheses import read_hypotheses, read_word_hypotheses
from unsup_asr.formats.manifest import read_manifest
from unsup_asr.report.results import SampleTranscript
from unsup_asr.speech.audio import read_utterance
from unsup_asr.types import Float32Array, Hypothesis, Utterance, WordHypothesis

SAMPLE_RATE = 16000
NUM_SAMPLES, MOST_SAMPLES = 10, 40
MOST_BYTES = 3 * 2**20  # of 16-bit sound in one page; base64 makes 4 MB of them
_TEST = "hypotheses/test.tsv"
SUPERVISED = ("supervised", "superb")  # stages that learn from references
_NO_SYSTEMS = ("words", "letters", *SUPERVISED)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One utterance: `sound` (N,) at `SAMPLE_RATE`, None where it is not to be had; what was `said`
    where references are; phones that were `found`, by who found them.
    """

    utterance_id: str
    speaker: str = ""
    sound: Float32Array | None = None
    said: SampleTranscript | None = None
    found: Mapping[str, Hypothesis] = field(default_factory=dict)
    words: WordHypothesis | None = None


@dataclass(frozen=True)
class Samples:
    """What a page shows. `num_too_long` were left out, that the page may stay small; `fault` says
    why there is no sound.
    """

    shown: tuple[Sample, ...] = ()
    num_too_long: int = 0
    fault: str | None = None


def in_order_of_choice(ids: Iterable[str]) -> list[str]:
    """Utterance ids in an order that depends on nothing but each id."""
    return sorted(ids, key=lambda i: hashlib.sha256(i.encode()).digest())


def final_stage(stages: Mapping[str, Path]) -> str | None:
    """The stage whose phones a run ends with, or has come to; `stages` as they ended."""
    if "model" in stages:
        path = as_written(stages["model"] / "choice.json")
        return str(read_json(path, "chosen")["chosen"])
    heard = [
        name
        for name, folder in stages.items()
        if (folder / _TEST).is_file() and not name.startswith(_NO_SYSTEMS)
    ]
    of_model = [name for name in heard if not name.endswith("_lm")]
    return of_model[-1] if of_model else None


def read_samples(
    runs: Mapping[str, Mapping[str, Path]],
    said: Mapping[str, SampleTranscript] | None,
    *,
    num_samples: int = NUM_SAMPLES,
    most_bytes: int | None = None,
) -> Samples:
    """Samples of the test set that all runs have heard; `runs` gives the stages of each, by name.

    `said`: of runs with references, those that were kept; no others are shown. `most_bytes` of
    sound, `MOST_BYTES` where none are given.
    """
    if not 0 <= num_samples <= MOST_SAMPLES:
        raise ValueError(f"{num_samples} samples; expected 0 to {MOST_SAMPLES}")
    most_bytes = MOST_BYTES if most_bytes is None else most_bytes
    found = {name: _found(stages) for name, stages in runs.items()}
    ids = set.intersection(*(set(of_run) for of_run in found.values())) if found else set()
    if said is not None:
        ids &= set(said)
    words = _words(next(iter(runs.values()))) if len(runs) == 1 else {}
    audio, fault = _audio(runs)
    shown: list[Sample] = []
    num_bytes = num_too_long = 0
    for i in in_order_of_choice(ids):
        if len(shown) == num_samples:
            break
        sound = None
        if i in audio and fault is None:
            size = 2 * round(SAMPLE_RATE * audio[i].duration_s)
            if num_bytes + size > most_bytes:
                num_too_long += 1
                continue
            try:
                sound = read_utterance(audio[i], sample_rate=SAMPLE_RATE)
                num_bytes += 2 * len(sound)
            except ValueError as error:
                fault = str(error)
        shown.append(
            Sample(
                utterance_id=i,
                speaker=audio[i].speaker if i in audio else "",
                sound=sound,
                said=said[i] if said is not None else None,
                found={name: of_run[i] for name, of_run in found.items()},
                words=words.get(i),
            )
        )
    return Samples(tuple(shown), num_too_long, fault)


def _found(stages: Mapping[str, Path]) -> dict[str, Hypothesis]:
    """Phones of the test set by utterance; none where the run has come to no system."""
    final = final_stage(stages)
    if final is None or final not in stages:
        return {}
    path = stages[final] / _TEST
    if not path.is_file():
        return {}
    return {h.utterance_id: h for h in read_hypotheses(as_written(path))}


def _words(stages: Mapping[str, Path]) -> dict[str, WordHypothesis]:
    path = stages["words"] / "words" / "test.tsv" if "words" in stages else None
    if path is None or not path.is_file():
        return {}
    return {h.utterance_id: h for h in read_word_hypotheses(as_written(path))}


def _audio(runs: Mapping[str, Mapping[str, Path]]) -> tuple[dict[str, Utterance], str | None]:
    """Recordings of the test set, of the first run whose recordings are there; else why not."""
    fault = "no run has prepared a corpus"
    for stages in runs.values():
        if "corpus" not in stages:
            continue
        try:
            manifest = read_manifest(as_written(stages["corpus"] / "test.jsonl"))
            return {utterance.id: utterance for utterance in manifest}, None
        except ValueError as error:
            fault = str(error)
    return {}, fault
