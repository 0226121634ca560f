"""Utterances, and what was recognised in them, as manifests that lhotse reads.

Source: lhotse's documentation, "Representing a corpus" and "Cuts". lhotse itself is not needed.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import soundfile

from unsup_asr.formats.kaldi_data import labels
from unsup_asr.types import Hypothesis, Utterance, WordHypothesis


def write_lhotse(
    folder: Path,
    utterances: Sequence[Utterance],
    recognised: Mapping[str, Hypothesis] | Mapping[str, WordHypothesis],
) -> None:
    """recordings.jsonl.gz, supervisions.jsonl.gz and cuts.jsonl.gz, a cut for each utterance.

    What was recognised is a supervision's text, with times as its alignment `phone` or `word`. An
    utterance that is the mean of several channels has all of them.
    """
    recordings: dict[str, dict[str, object]] = {}
    taken: dict[str, str] = {}
    supervisions: list[dict[str, object]] = []
    cuts: list[dict[str, object]] = []
    for u in utterances:
        if u.audio not in recordings:
            key = u.id if u.start_s is None else Path(u.audio).stem
            if taken.setdefault(key, u.audio) != u.audio:
                raise ValueError(
                    f"{u.audio} and {taken[key]}: two recordings of the id {key!r}; rename one"
                )
            recordings[u.audio] = _recording(key, Path(u.audio))
        recording = recordings[u.audio]
        channels = recording["channel_ids"]
        assert isinstance(channels, list)
        channel = channels if u.channel is None and len(channels) > 1 else (u.channel or 1) - 1
        supervision = _supervision(u, recording["id"], channel, recognised.get(u.id))
        span = {"start": u.start_s or 0.0, "duration": u.duration_s, "channel": channel}
        supervisions.append({**supervision, "start": span["start"]})
        cuts.append(
            {
                **{"id": u.id, **span, "supervisions": [supervision], "recording": recording},
                "type": "MultiCut" if isinstance(channel, list) else "MonoCut",
            }
        )
    _write(folder / "recordings.jsonl.gz", recordings.values())
    _write(folder / "supervisions.jsonl.gz", supervisions)
    _write(folder / "cuts.jsonl.gz", cuts)


def _recording(key: str, audio: Path) -> dict[str, object]:
    facts = soundfile.info(str(audio))
    channels = list(range(facts.channels))
    return {
        **{"id": key, "sources": [{"type": "file", "channels": channels, "source": str(audio)}]},
        **{"sampling_rate": facts.samplerate, "num_samples": facts.frames},
        **{"duration": facts.frames / facts.samplerate, "channel_ids": channels},
    }


def _supervision(
    u: Utterance,
    recording_id: object,
    channel: object,
    found: Hypothesis | WordHypothesis | None,
) -> dict[str, object]:
    """With times from the utterance's beginning, as a cut's supervision has them."""
    record: dict[str, object] = {
        **{"id": u.id, "recording_id": recording_id, "start": 0.0, "duration": u.duration_s},
        **{"channel": channel, "speaker": u.speaker},
    }
    if found is None:
        return record
    record["text"] = " ".join(labels(found))
    if found.starts_s:
        confidences = found.confidences or (None,) * len(found.starts_s)
        rows = zip(labels(found), found.starts_s, found.ends_s, confidences, strict=True)
        tier = "word" if isinstance(found, WordHypothesis) else "phone"
        record["alignment"] = {
            tier: [[label, start, end - start, sure] for label, start, end, sure in rows]
        }
    return record


def _write(path: Path, records: Iterable[Mapping[str, object]]) -> None:
    with path.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as stream:
        for record in records:
            stream.write((json.dumps(record, ensure_ascii=False) + "\n").encode())
