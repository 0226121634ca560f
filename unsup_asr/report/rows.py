"""One system scored on one set, in phones or in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unsup_asr.scoring.metrics import bootstrap_interval, count_errors
from unsup_asr.types import ErrorCounts


@dataclass(frozen=True, kw_only=True)
class ErrorRow:
    """Edits as counts over all references, the error rate's 95 % interval in percent."""

    insertions: int
    deletions: int
    substitutions: int
    reference_length: int
    interval_low: float
    interval_high: float
    num_utterances: int
    split: str

    @property
    def rate(self) -> float:
        """Edits in percent of the references."""
        edits = self.insertions + self.deletions + self.substitutions
        return 100.0 * edits / self.reference_length

    @property
    def scored_on(self) -> str:
        """The set, in words."""
        return f"{self.split}, {self.num_utterances} utterances"

    def cells(self) -> list[str]:
        """Rate, interval, and edits in percent of the references."""
        edits = (self.insertions, self.deletions, self.substitutions)
        return [
            f"{self.rate:.1f}",
            f"{self.interval_low:.1f} to {self.interval_high:.1f}",
            *(f"{100 * edit / self.reference_length:.1f}" for edit in edits),
        ]


def error_row(counts: Sequence[ErrorCounts], *, split: str, seed: int) -> ErrorRow:
    """The row of counts by utterance, with a bootstrap interval."""
    total = sum(counts, ErrorCounts(0, 0, 0, 0))
    low, high = bootstrap_interval(counts, seed=seed)
    return ErrorRow(
        insertions=total.insertions,
        deletions=total.deletions,
        substitutions=total.substitutions,
        reference_length=total.reference_length,
        interval_low=low,
        interval_high=high,
        num_utterances=len(counts),
        split=split,
    )


def score(
    references: Mapping[str, Sequence[str]],
    recognised: Mapping[str, Sequence[str]],
    *,
    seed: int = 0,
) -> ErrorRow:
    """Phones, or words, recognised in each utterance against what was said in it, by id.

    `seed` draws the interval. ValueError unless both are of the same utterances.
    """
    for ids, source, other in (
        (references.keys() - recognised.keys(), "recognised", "references"),
        (recognised.keys() - references.keys(), "references", "recognised"),
    ):
        if ids:
            raise ValueError(
                f"{source}: {len(ids)} utterances of {other} are missing (first: "
                f"{min(ids)!r}); error rates over a part do not compare"
            )
    counts = [count_errors(said, recognised[i]) for i, said in references.items()]
    return error_row(counts, split="given", seed=seed)
