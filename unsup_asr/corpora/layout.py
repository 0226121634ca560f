"""What every corpus writes: manifests, unpaired text, `corpus.json`; apart from them references."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from unsup_asr.formats.hypotheses import write_transcripts, write_words
from unsup_asr.formats.manifest import read_manifest, write_manifest
from unsup_asr.types import SPLITS, Transcript, Utterance


def write_split(out: Path, split: str, utterances: Sequence[Utterance]) -> dict[str, object]:
    """Write the manifest of one split; what corpus.json says about it."""
    write_manifest(out / f"{split}.jsonl", utterances)
    return {
        "num_utterances": len(utterances),
        "hours": sum(u.duration_s for u in utterances) / 3600,
        "num_speakers": len({u.speaker for u in utterances}),
    }


def write_word_references(
    out: Path, split: str, utterances: Sequence[Utterance], words: Mapping[str, Sequence[str]]
) -> None:
    """Seal what was said in one split, as words; utterances without any have no reference."""
    said = {u.id: words[u.id] for u in utterances if u.id in words}
    write_words(out / "references" / f"{split}.words.tsv", said)


def write_phone_references(
    out: Path, split: str, utterances: Sequence[Utterance], phones: Mapping[str, Transcript]
) -> None:
    """Seal what was said in one split, as phones, with times where there are any."""
    said = [phones[u.id] for u in utterances if u.id in phones]
    write_transcripts(out / "references" / f"{split}.tsv", said)


def read_splits(corpus: Path) -> dict[str, list[Utterance]]:
    """The utterances of each manifest that a corpus wrote."""
    return {split: read_manifest(corpus / f"{split}.jsonl") for split in SPLITS}


def digest_of(lines: Iterable[str]) -> str:
    """12 hex digits that name these lines in this order."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def write_text(out: Path, lines: Iterable[str]) -> int:
    """Write the unpaired text, one sentence a line; how many there were."""
    count = 0
    with (out / "text.txt").open("w", encoding="utf-8") as stream:
        for line in lines:
            stream.write(f"{line}\n")
            count += 1
    return count


def write_summary(out: Path, summary: Mapping[str, object]) -> None:
    """Write corpus.json."""
    (out / "corpus.json").write_text(json.dumps(summary, indent=1, ensure_ascii=False), "utf-8")
