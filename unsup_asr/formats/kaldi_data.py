"""Utterances, and what was recognised in them, as a data directory of Kaldi.

Source: Kaldi's documentation, "Data preparation". All tables are sorted as LC_ALL=C sorts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import soundfile

from unsup_asr.types import Hypothesis, Utterance, WordHypothesis


def write_kaldi(
    folder: Path,
    utterances: Sequence[Utterance],
    recognised: Mapping[str, Hypothesis] | Mapping[str, WordHypothesis],
) -> None:
    """wav.scp, segments (where an utterance is a part), utt2spk, spk2utt; text and ctm of what was
    recognised.

    ValueError where Kaldi would hear something else: of several channels the first is its.
    """
    recordings: dict[str, str] = {}  # id by audio
    for u in utterances:
        if soundfile.info(u.audio).channels > 1:
            raise ValueError(
                f"{u.audio}: several channels; wav.scp names mono files. Write the channel that is "
                "heard to a file of its own, or export for lhotse"
            )
        if any(c.isspace() for c in u.audio) and u.audio != u.audio.strip():
            raise ValueError(f"{u.audio!r}: white space at an end, which wav.scp cannot hold")
        recordings.setdefault(u.audio, u.id if u.start_s is None else _recording_id(u))
    speakers: dict[str, list[str]] = {}
    for u in utterances:
        speakers.setdefault(u.speaker, []).append(u.id)
    _write(folder / "wav.scp", ((key, audio) for audio, key in recordings.items()))
    _write(folder / "utt2spk", ((u.id, u.speaker) for u in utterances))
    _write(folder / "spk2utt", ((s, " ".join(sorted(of))) for s, of in speakers.items()))
    if any(u.start_s is not None for u in utterances):
        _write(folder / "segments", ((u.id, _segment(u, recordings)) for u in utterances))
    if recognised:
        _write(folder / "text", ((key, " ".join(labels(h))) for key, h in recognised.items()))
        (folder / "ctm").write_text("".join(_ctm(utterances, recordings, recognised)), "utf-8")


def labels(recognised: Hypothesis | WordHypothesis) -> tuple[str, ...]:
    """Words, or phones."""
    return recognised.words if isinstance(recognised, WordHypothesis) else recognised.phones


def _recording_id(utterance: Utterance) -> str:
    return Path(utterance.audio).stem.replace(" ", "_")


def _segment(utterance: Utterance, recordings: Mapping[str, str]) -> str:
    start_s = utterance.start_s or 0.0
    end_s = start_s + utterance.duration_s
    return f"{recordings[utterance.audio]} {start_s:.6f} {end_s:.6f}"


def _ctm(
    utterances: Sequence[Utterance],
    recordings: Mapping[str, str],
    recognised: Mapping[str, Hypothesis] | Mapping[str, WordHypothesis],
) -> Iterable[str]:
    """Times in the recording, of those that have any."""
    rows: list[tuple[str, float, str]] = []
    for u in utterances:
        found, offset_s = recognised.get(u.id), u.start_s or 0.0
        if found is None or not found.starts_s:
            continue
        confidences = found.confidences or (1.0,) * len(found.starts_s)
        for label, start_s, end_s, confidence in zip(
            labels(found), found.starts_s, found.ends_s, confidences, strict=True
        ):
            at, lasts = offset_s + start_s, end_s - start_s
            line = f"{recordings[u.audio]} 1 {at:.3f} {lasts:.3f} {label} {confidence:.4f}\n"
            rows.append((recordings[u.audio], at, line))
    return [line for _, _, line in sorted(rows)]


def _write(path: Path, rows: Iterable[tuple[str, str]]) -> None:
    ordered = sorted(rows, key=lambda row: row[0].encode())
    if len({key for key, _ in ordered}) < len(ordered):
        raise ValueError(f"{path.name}: two entries of one id; rename audio files of one name")
    path.write_text("".join(f"{key} {rest}".rstrip() + "\n" for key, rest in ordered), "utf-8")
