"""TIMIT's aligned phones: folded, with or without silence, and divided among the aligned words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unsup_asr.corpora.timit_files import SAMPLE_RATE, Labelled
from unsup_asr.scoring.folds import FoldTable
from unsup_asr.types import Transcript

SILENCE_RULES = ("count", "drop")
SILENCE_WORD = "<sil>"
# Pauses and the closures of stops: what Lee and Hon 1989 fold into `sil`.
SILENT = frozenset({"h#", "pau", "epi", "bcl", "dcl", "gcl", "kcl", "pcl", "tcl"})
_GAP = -1

Word = tuple[str, tuple[str, ...]]


@dataclass(frozen=True)
class PhoneRule:
    """What a phone of the 61 becomes. `silence` is "count" (a phone like others, never merged with
    its neighbour, as in Kaldi and fairseq) or "drop".
    """

    table: FoldTable | None  # None: the 61 as they are
    silence: str

    def __post_init__(self) -> None:
        if self.silence not in SILENCE_RULES:
            raise ValueError(
                f"silence is {self.silence!r}; expected one of {', '.join(SILENCE_RULES)}"
            )

    def folded(self, phones: Sequence[Labelled], *, source: str) -> list[tuple[Labelled, str]]:
        """Each phone that stays, with what it counts as; ValueError for one TIMIT lacks."""
        kept: list[tuple[Labelled, str]] = []
        for phone in phones:
            if self.silence == "drop" and phone.label in SILENT:
                continue
            try:
                names = self.table.fold([phone.label]) if self.table else (phone.label,)
            except ValueError as error:
                raise ValueError(f"{source}: {error}") from error
            kept.extend((phone, name) for name in names)
        return kept

    def transcript(
        self, utterance_id: str, phones: Sequence[Labelled], *, source: str
    ) -> Transcript:
        """Folded phones with their times."""
        kept = self.folded(phones, source=source)
        return Transcript(
            utterance_id,
            tuple(name for _, name in kept),
            tuple(phone.start / SAMPLE_RATE for phone, _ in kept),
            tuple(phone.end / SAMPLE_RATE for phone, _ in kept),
        )

    def words(
        self, phones: Sequence[Labelled], words: Sequence[Labelled], *, source: str
    ) -> list[Word]:
        """The same phones, word by word.

        A phone belongs to the word that it shares most time with. Between words, silence is a word
        of its own; any other phone goes to the word before it, or behind silence to the next one.
        """
        groups: list[tuple[int, list[str]]] = []  # index of the word (_GAP: silence), its phones
        at = -1
        for phone, name in self.folded(phones, source=source):
            shared = [_overlap(phone, word) for word in words]
            best = max(range(max(at, 0), len(words)), key=lambda i: shared[i])
            last = groups[-1][0] if groups else _GAP
            if shared[best] > 0:
                at = owner = best
            elif phone.label in SILENT:
                owner = _GAP
            else:
                at = owner = at if last == at >= 0 else min(at + 1, len(words) - 1)
            if owner == last != _GAP:
                groups[-1][1].append(name)
            else:
                groups.append((owner, [name]))
        return [
            (SILENCE_WORD if index == _GAP else words[index].label, tuple(of))
            for index, of in groups
        ]


def text_line(words: Sequence[Word]) -> str:
    """Words, a tab, and their phones with ` | ` between words: what `text=phones` reads."""
    names = " ".join(name for name, _ in words)
    return f"{names}\t{' | '.join(' '.join(phones) for _, phones in words)}"


def _overlap(phone: Labelled, word: Labelled) -> int:
    return max(0, min(phone.end, word.end) - max(phone.start, word.start))
