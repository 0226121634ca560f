"""Under which conditions a run's systems were scored: what must be equal for a comparison."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from unsup_asr.engine.config import instantiate
from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.checked import read_json_value
from unsup_asr.types import SILENCES, Transcript, Utterance

NO_LM, PHONE_LM, WORDS = "no LM", "phone LM", "words"


def decodings(context: StageContext, rows: Iterable[str]) -> dict[str, str]:
    """What beside the acoustics decided the phones of each row, as `Row.decoding` says it."""
    return {name: _decoding(context, name) for name in rows}


def phone_fold(context: StageContext) -> str:
    """Which phones the front end counts as one: its table's name, its pairs, or 'none'."""
    fold = getattr(instantiate(context.config.text.front_end), "fold", None)
    if isinstance(fold, str):
        return fold
    return " ".join(f"{phone}>{other}" for phone, other in sorted((fold or {}).items())) or "none"


def silence_policy(references: Sequence[Transcript]) -> str:
    """Whether silence is among the phones that count."""
    found = sorted(SILENCES & {phone for r in references for phone in r.phones})
    return f"{' '.join(found)} counted" if found else "not counted"


def silence_id(inventory: Sequence[str]) -> int | None:
    """The phone that stands for silence, by its place in the inventory; None without one."""
    return next((i for i, phone in enumerate(inventory) if phone in SILENCES), None)


def audio_digest(utterances: Iterable[Utterance]) -> str:
    """12 hex digits that name recordings by id, speaker and length to the millisecond.

    Two test sets may have one text, and so one digest of references, and yet other voices.
    """
    digest = hashlib.sha256()
    for utterance in sorted(utterances, key=lambda u: u.id):
        line = f"{utterance.id}\t{utterance.speaker}\t{utterance.duration_s:.3f}\n"
        digest.update(line.encode())
    return digest.hexdigest()[:12]


def _decoding(context: StageContext, row: str) -> str:
    if row.endswith("+lm"):
        return PHONE_LM
    if row.startswith(("matching", "gan", "superb")):
        return NO_LM
    if row.startswith(("realign_", "hmm_")) or row.endswith("+words"):
        return WORDS  # of the text's lexicon
    if not row.startswith(("self_training", "spoken_model", "supervised")):
        return ""
    options = read_json_value(context.input("model").file("model.json"))["decoder"]
    files = {str(value) for key, value in options.items() if str(key).endswith("_path")}
    if "words.arpa" in files:
        return WORDS
    return PHONE_LM if files else NO_LM
