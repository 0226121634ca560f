"""Fold tables: which phones count as one, so that error rates of one set are compared.

A table is a TSV in `unsup_asr/scoring/fold_tables`, its source in its comments; an empty right
side deletes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from unsup_asr.formats.lines import numbered_lines

FOLDS = Path(__file__).parent / "fold_tables"


@dataclass(frozen=True)
class FoldTable:
    """From each phone to the one that it counts as, "" where it is deleted."""

    name: str
    of_phone: dict[str, str]

    @cached_property
    def phones(self) -> tuple[str, ...]:
        """What is left, sorted."""
        return tuple(sorted(set(self.of_phone.values()) - {""}))

    def fold(self, phones: Sequence[str]) -> tuple[str, ...]:
        """The phones folded; one that is left already stays. ValueError for an unknown one."""
        folded = []
        for phone in phones:
            if phone not in self.of_phone and phone not in self.phones:
                raise ValueError(
                    f"phone {phone!r} is not in the fold table {self.name}; expected one of "
                    f"{' '.join(sorted(self.of_phone))}"
                )
            folded.append(self.of_phone.get(phone, phone))
        return tuple(phone for phone in folded if phone)


def fold_tables() -> list[str]:
    """Names of the tables that come with the project."""
    return sorted(path.stem for path in FOLDS.glob("*.tsv"))


def read_fold_table(name_or_path: str) -> FoldTable:
    """A table by its name, or one's own TSV; ValueError when it is neither, or damaged."""
    path = FOLDS / f"{name_or_path}.tsv" if name_or_path in fold_tables() else Path(name_or_path)
    if not path.is_file():
        raise ValueError(
            f"{name_or_path}: no such fold table; expected one of {', '.join(fold_tables())}, or "
            "a TSV of phone and what it counts as"
        )
    of_phone: dict[str, str] = {}
    for number, line in numbered_lines(path):
        if not line.strip() or line.startswith("#"):
            continue
        cells = line.split("\t")
        if len(cells) != 2 or not cells[0] or cells[0] in of_phone:
            raise ValueError(
                f"{path}, line {number}: {line!r}; expected a phone, a tab and what it counts as, "
                "each phone once"
            )
        of_phone[cells[0]] = cells[1].strip()
    return FoldTable(path.stem, of_phone)
