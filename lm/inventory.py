"""The phones of a text, with the rare ones merged into others or left out, and a report of both."""

from __future__ import annotations

import json
import logging
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unsup_asr.formats.checked import reading

logger = logging.getLogger(__name__)

RARE_RULES = ("merge", "drop", "keep")


@dataclass(frozen=True)
class PhoneInventory:
    """Phones in the order of their ids, most frequent first, with the counts that chose them.

    `merged` maps a rare phone to what stands for it; `dropped` are rare phones without a stand-in,
    whose sentences are left out.
    """

    phones: tuple[str, ...]
    counts: tuple[int, ...]
    merged: dict[str, tuple[str, ...]]
    dropped: dict[str, int]

    def __post_init__(self) -> None:
        if not self.phones:
            raise ValueError("a phone inventory has no phone; is the text empty?")
        if len(set(self.phones)) != len(self.phones):
            raise ValueError(f"a phone inventory repeats a phone: {self.phones}")

    @property
    def index(self) -> dict[str, int]:
        """Phone to id."""
        return {phone: i for i, phone in enumerate(self.phones)}

    def apply(self, phones: Sequence[str]) -> tuple[str, ...] | None:
        """The phones with rare ones replaced; None where one was dropped or is unknown."""
        known = set(self.phones)
        replaced: list[str] = []
        for phone in phones:
            if phone in known:
                replaced.append(phone)
            elif phone in self.merged:
                replaced.extend(self.merged[phone])
            else:
                return None
        return tuple(replaced)

    def save(self, path: Path) -> None:
        """Write JSON."""
        fields = {
            "phones": self.phones,
            "counts": self.counts,
            "merged": self.merged,
            "dropped": self.dropped,
        }
        path.write_text(json.dumps(fields, ensure_ascii=False, indent=1), "utf-8")

    @classmethod
    def load(cls, path: Path) -> PhoneInventory:
        """Read what `save` wrote; ValueError when it is something else."""
        with reading(path, "a phone inventory"):
            fields = json.loads(path.read_text("utf-8"))
            return cls(
                tuple(fields["phones"]),
                tuple(fields["counts"]),
                {phone: tuple(stand_in) for phone, stand_in in fields["merged"].items()},
                fields["dropped"],
            )


def count_inventory(
    sentences: Iterable[Sequence[str]], *, min_count: int, rare: str
) -> PhoneInventory:
    """Inventory of the sentences, as `choose_inventory` has it of their counts."""
    counts = Counter(phone for sentence in sentences for phone in sentence)
    return choose_inventory(counts, min_count=min_count, rare=rare)


def choose_inventory(counts: Mapping[str, int], *, min_count: int, rare: str) -> PhoneInventory:
    """Inventory of a text whose phones were counted. `rare` says what to do with phones below
    `min_count`:

    "merge": into the phone without its marks (`ɑ̃` -> `ɑ`), else into its letters one by one
    (`ɔɪ` -> `ɔ ɪ`), else dropped; "drop": their sentences are dropped; "keep".
    """
    if rare not in RARE_RULES:
        raise ValueError(f"rare is {rare!r}; expected one of {RARE_RULES}")
    threshold = 0 if rare == "keep" else min_count
    ordered = sorted(counts, key=lambda phone: (-counts[phone], phone))
    kept = [phone for phone in ordered if counts[phone] >= threshold]
    if not kept:
        raise ValueError(
            f"no phone of {len(counts)} occurs {min_count} times (most: "
            f"{max(counts.values(), default=0)}); give more text or a lower min_phone_count"
        )
    merged: dict[str, tuple[str, ...]] = {}
    dropped: dict[str, int] = {}
    for phone in ordered[len(kept) :]:
        stand_in = _stand_in(phone, frozenset(kept)) if rare == "merge" else None
        if stand_in is None:
            dropped[phone] = counts[phone]
        else:
            merged[phone] = stand_in
    if merged or dropped:
        logger.info("rare phones: merged %s, dropped %s", merged, dropped)
    return PhoneInventory(tuple(kept), tuple(counts[p] for p in kept), merged, dropped)


def _stand_in(phone: str, kept: frozenset[str]) -> tuple[str, ...] | None:
    decomposed = unicodedata.normalize("NFD", phone)
    letters = "".join(c for c in decomposed if unicodedata.category(c) not in ("Mn", "Lm", "Sk"))
    if letters in kept:
        return (letters,)
    if len(letters) > 1 and all(letter in kept for letter in letters):
        return tuple(letters)
    return None
