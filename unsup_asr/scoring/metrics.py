"""Phone error rate with its interval, confusions, and n-gram divergence. Joined by utterance id.

Rates are in percent, as `ErrorCounts.rate`; divergences are in bits.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import Levenshtein
from scipy.spatial.distance import jensenshannon

from unsup_asr.types import ErrorCounts, Hypothesis, Int64Array, Transcript

NOTHING = "∅"  # stands in a confusion matrix for "no phone": insertions' row, deletions' column


@dataclass(frozen=True)
class Confusions:
    """Aligned phone pairs, counted.

    `counts_RH`: axes R reference label, H hypothesis label, each of `labels` in order. The last
    label is `NOTHING`: its row holds insertions, its column deletions, the corner is 0.
    """

    labels: tuple[str, ...]
    counts_RH: Int64Array

    def __post_init__(self) -> None:
        if self.counts_RH.shape != (len(self.labels), len(self.labels)):
            raise ValueError(
                f"confusion matrix has shape {self.counts_RH.shape} for {len(self.labels)} labels; "
                "expected one row and one column a label"
            )


def score(
    references: Sequence[Transcript],
    hypotheses: Sequence[Hypothesis],
    *,
    reference_source: str = "references",
    hypothesis_source: str = "hypotheses",
) -> ErrorCounts:
    """Fewest edits from the references to the hypotheses, summed over all utterances.

    The `_source` names (paths, where there are any) go into the message when the two sides do not
    hold the same utterances, which is a ValueError.
    """
    counts = per_utterance(
        references,
        hypotheses,
        reference_source=reference_source,
        hypothesis_source=hypothesis_source,
    )
    return sum(counts.values(), ErrorCounts(0, 0, 0, 0))


def per_utterance(
    references: Sequence[Transcript],
    hypotheses: Sequence[Hypothesis],
    *,
    reference_source: str = "references",
    hypothesis_source: str = "hypotheses",
) -> dict[str, ErrorCounts]:
    """Edit counts of each utterance, in the order of the references."""
    pairs = _joined(
        references,
        hypotheses,
        reference_source=reference_source,
        hypothesis_source=hypothesis_source,
    )
    return {ref.utterance_id: count_errors(ref.phones, hyp.phones) for ref, hyp in pairs}


def count_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> ErrorCounts:
    """Edit counts of one pair of sequences (Levenshtein, all three edits cost 1)."""
    tags = Counter(op.tag for op in Levenshtein.editops(reference, hypothesis))
    return ErrorCounts(tags["insert"], tags["delete"], tags["replace"], len(reference))


def align(
    reference: Sequence[str], hypothesis: Sequence[str]
) -> list[tuple[str | None, str | None]]:
    """Pairs (reference, hypothesis) of one cheapest alignment; None where a side has nothing."""
    pairs: list[tuple[str | None, str | None]] = []
    for op in Levenshtein.opcodes(reference, hypothesis):
        if op.tag == "insert":
            pairs += [(None, phone) for phone in hypothesis[op.dest_start : op.dest_end]]
        elif op.tag == "delete":
            pairs += [(phone, None) for phone in reference[op.src_start : op.src_end]]
        else:  # "equal" and "replace" span as many phones on both sides
            pairs += zip(
                reference[op.src_start : op.src_end],
                hypothesis[op.dest_start : op.dest_end],
                strict=True,
            )
    return pairs


def bootstrap_interval(
    counts: Sequence[ErrorCounts], *, num_samples: int = 1000, seed: int, level: float = 0.95
) -> tuple[float, float]:
    """Percentile interval of the error rate in percent, utterances drawn with replacement.

    Bisani and Ney 2004. It treats utterances as independent, so with few speakers it is too narrow.
    """
    if not 0 < level < 1:
        raise ValueError(f"bootstrap level is {level}; expected a value between 0 and 1, say 0.95")
    errors = np.array([c.insertions + c.deletions + c.substitutions for c in counts])
    lengths = np.array([c.reference_length for c in counts])
    if lengths.sum() == 0:
        raise ValueError(
            f"bootstrap over {len(counts)} utterances without a single reference phone; "
            "an error rate needs references"
        )
    rng = np.random.default_rng(seed)
    rates = np.full(num_samples, np.nan)
    for i in range(num_samples):
        drawn = rng.integers(len(counts), size=len(counts))
        if total := lengths[drawn].sum():
            rates[i] = 100.0 * errors[drawn].sum() / total
    low, high = np.nanquantile(rates, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def confusions(references: Sequence[Transcript], hypotheses: Sequence[Hypothesis]) -> Confusions:
    """Which phone was taken for which, over cheapest alignments; labels sorted, `NOTHING` last."""
    counts: Counter[tuple[str, str]] = Counter()
    for ref, hyp in _joined(references, hypotheses):
        for left, right in align(ref.phones, hyp.phones):
            counts[left or NOTHING, right or NOTHING] += 1
    labels = [*sorted({label for pair in counts for label in pair} - {NOTHING}), NOTHING]
    position = {label: i for i, label in enumerate(labels)}
    counts_RH = np.zeros((len(labels), len(labels)), dtype=np.int64)
    for (left, right), count in counts.items():
        counts_RH[position[left], position[right]] = count
    return Confusions(tuple(labels), counts_RH)


def ngram_js_divergence(a: Sequence[Sequence[str]], b: Sequence[Sequence[str]], n: int) -> float:
    """Jensen-Shannon divergence in bits, 0 to 1, between the n-gram distributions of two corpora.

    N-grams do not cross the ends of sequences. Lin et al. 2022 found it strongly correlated with
    the PER that unsupervised training reaches. It grows when either side is small: compare only
    values over corpora of like size.
    """
    counts_a, counts_b = _ngrams(a, n), _ngrams(b, n)
    for name, counts in (("first", counts_a), ("second", counts_b)):
        if not counts:
            raise ValueError(
                f"no {n}-gram in the {name} corpus: all its sequences are shorter than {n} phones"
            )
    union = list(counts_a | counts_b)
    p = np.array([counts_a[gram] for gram in union], dtype=np.float64)
    q = np.array([counts_b[gram] for gram in union], dtype=np.float64)
    distance = float(jensenshannon(p, q, base=2))  # scipy gives the root of the divergence
    return min(max(distance * distance, 0.0), 1.0)


def reference_digest(references: Iterable[Transcript]) -> str:
    """12 hex digits that name a test set: the same utterances with the same phones, in any order.

    Two error rates with different digests were scored under different conditions.
    """
    digest = hashlib.sha256()
    for ref in sorted(references, key=lambda ref: ref.utterance_id):
        digest.update(f"{ref.utterance_id}\t{' '.join(ref.phones)}\n".encode())
    return digest.hexdigest()[:12]


def _ngrams(sequences: Iterable[Sequence[str]], n: int) -> Counter[tuple[str, ...]]:
    counts: Counter[tuple[str, ...]] = Counter()
    for sequence in sequences:
        counts.update(zip(*(sequence[i:] for i in range(n)), strict=False))
    return counts


def _joined(
    references: Sequence[Transcript],
    hypotheses: Sequence[Hypothesis],
    *,
    reference_source: str = "references",
    hypothesis_source: str = "hypotheses",
) -> list[tuple[Transcript, Hypothesis]]:
    """Pairs of the same utterance, in the order of the references; every id once on each side."""
    reference_ids = _unique_ids(references, reference_source)
    hypothesis_ids = _unique_ids(hypotheses, hypothesis_source)
    missing = [i for i in reference_ids if i not in hypothesis_ids]
    if missing:
        raise ValueError(
            f"{hypothesis_source}: {len(missing)} of {len(references)} utterances have no "
            f"hypothesis (first: {missing[0]!r}). PER over a subset is not comparable; decode "
            f"again, or take them out of {reference_source}."
        )
    extra = [i for i in hypothesis_ids if i not in reference_ids]
    if extra:
        raise ValueError(
            f"{reference_source}: {len(extra)} of {len(hypotheses)} hypotheses have no reference "
            f"(first: {extra[0]!r}). Expected the same utterances on both sides; add their "
            f"references, or take them out of {hypothesis_source}."
        )
    by_id = {hyp.utterance_id: hyp for hyp in hypotheses}
    return [(ref, by_id[ref.utterance_id]) for ref in references]


def _unique_ids(items: Sequence[Transcript] | Sequence[Hypothesis], source: str) -> dict[str, None]:
    counts = Counter(item.utterance_id for item in items)
    if not counts:
        raise ValueError(f"{source}: no utterance; an error rate needs at least one")
    repeated = [i for i, count in counts.items() if count > 1]
    if repeated:
        raise ValueError(
            f"{source}: {len(repeated)} utterance ids appear more than once (first: "
            f"{repeated[0]!r}); expected each id once, remove the repeats"
        )
    return dict.fromkeys(counts)
