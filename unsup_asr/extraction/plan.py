"""Audio to representations, shard by shard: what is to be done, by whom, and what is missing.

A shard is some minutes of utterances; its name holds a digest of them. Workers
(`unsup_asr.extraction.worker`) move a shard into its place when it is whole, so it is there
entirely or not at all: a run that was killed goes on with the shards that are missing, and a worker
that dies loses no more than the shard it was at.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from unsup_asr.formats.checked import read_json, reading
from unsup_asr.formats.whole import write_whole
from unsup_asr.progress import progress_bar
from unsup_asr.protocols import Launcher
from unsup_asr.types import Seconds, Utterance

log = logging.getLogger(__name__)

JOB = "job.json"
ERRORS = "errors"
SCRATCH = "scratch"


@dataclass(frozen=True)
class Shard:
    """Utterances that are extracted, and kept on disk, together."""

    name: str
    split: str
    utterances: tuple[Utterance, ...]


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """All that a worker needs to know; written as JSON, so that it can run anywhere."""

    upstream: dict[str, object]  # a config node with `_target_`
    layers: list[int]
    device: str  # auto: a GPU where the worker has one
    batch_seconds: Seconds  # audio in one padded batch
    # Shards go to <out>/<split>/<shard>/layer_<k>/; where silence is cut, beside them kept/ has the
    # frames of the whole audio that are left, by their indices.
    out: str
    work: str  # what is not finished, on the same file system
    shards: tuple[Shard, ...]
    silence: dict[str, object] | None = None  # a config node: what is cut out of the audio first

    def __post_init__(self) -> None:
        if not self.batch_seconds > 0:
            raise ValueError(
                f"features.runtime.batch_seconds is {self.batch_seconds}; expected more than 0"
            )

    def folder(self, shard: Shard) -> Path:
        """Where a shard lies once it is whole."""
        return Path(self.out) / shard.split / shard.name

    def missing(self) -> list[Shard]:
        """Shards that are not in their place."""
        return [shard for shard in self.shards if not self.folder(shard).is_dir()]

    def write(self, path: Path) -> None:
        """Write as JSON, whole or not at all."""
        write_whole(path, json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Extraction:
        """What `write` wrote."""
        found = read_json(path, "shards")
        with reading(path, "an extraction"):
            shards = tuple(
                Shard(s["name"], s["split"], tuple(Utterance(**u) for u in s["utterances"]))
                for s in found.pop("shards")
            )
            return cls(**found, shards=shards)


def plan_shards(
    utterances: Sequence[Utterance], *, split: str, shard_seconds: Seconds
) -> list[Shard]:
    """Consecutive utterances, `shard_seconds` of audio or a little more each."""
    if not shard_seconds > 0:
        raise ValueError(
            f"features.runtime.shard_minutes is {shard_seconds / 60}; expected more than 0"
        )
    groups: list[list[Utterance]] = []
    filled_s = shard_seconds
    for utterance in utterances:
        if filled_s >= shard_seconds:
            groups.append([])
            filled_s = 0.0
        groups[-1].append(utterance)
        filled_s += utterance.duration_s
    return [
        Shard(f"{number:05d}-{_digest(group)}", split, tuple(group))
        for number, group in enumerate(groups)
    ]


def extract(extraction: Extraction, launcher: Launcher, *, attempts: int) -> None:
    """Have all missing shards extracted; what a lost worker left is tried again.

    ValueError when data or options are wrong, or shards are missing after so many `attempts`.
    """
    work, job = Path(extraction.work), Path(extraction.work) / JOB
    _remove_other_shards(extraction)
    with progress_bar(len(extraction.shards), "shards") as tick:
        num_shown = 0

        def poll() -> None:
            nonlocal num_shown
            num_done = len(extraction.shards) - len(extraction.missing())
            for _ in range(num_done - num_shown):
                tick()
            num_shown = max(num_shown, num_done)

        for attempt in range(1, attempts + 1):
            missing = extraction.missing()
            if not missing:
                break
            shutil.rmtree(work, ignore_errors=True)
            (work / ERRORS).mkdir(parents=True)
            replace(extraction, shards=tuple(missing)).write(job)
            log.info("%d of %d shards to do", len(missing), len(extraction.shards))
            launcher.run(job, len(missing), poll=poll)
            _raise_errors(work / ERRORS)
            if lost := extraction.missing():
                log.warning(
                    "attempt %d: %d shards are missing: a worker died. They are tried again "
                    "(features.runtime.attempts); where memory is short, lower "
                    "features.runtime.batch_seconds",
                    *(attempt, len(lost)),
                )
        poll()
    if missing := extraction.missing():
        raise ValueError(
            f"{len(missing)} of {len(extraction.shards)} shards are missing after {attempts} "
            f"attempts (first: {missing[0].split}/{missing[0].name}): workers died. Their logs are "
            f"in {work}; run again to extract what is missing, with more memory a worker or a "
            "smaller features.runtime.batch_seconds if that is why"
        )
    shutil.rmtree(work, ignore_errors=True)


def _remove_other_shards(extraction: Extraction) -> None:
    """Shards of another plan, left by a killed run with another size of shards."""
    wanted = {extraction.folder(shard) for shard in extraction.shards}
    for folder in Path(extraction.out).glob("*/*"):
        if folder.is_dir() and folder not in wanted:
            shutil.rmtree(folder)


def _raise_errors(folder: Path) -> None:
    messages = [path.read_text("utf-8") for path in sorted(folder.iterdir())]
    if messages:
        more = f" (and {len(messages) - 1} other workers failed)" if len(messages) > 1 else ""
        raise ValueError(messages[0] + more)


def _digest(utterances: Sequence[Utterance]) -> str:
    text = json.dumps([asdict(utterance) for utterance in utterances], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
