"""N-gram language models by interpolated modified Kneser-Ney, as KenLM's lmplz estimates them.

Chen and Goodman 1998, section 3.4 and equation 26; Heafield et al. 2013 for counts at sentence
begins and for pruning. Values equal `lmplz -o N --discount_fallback [--prune ...]`, oddities
included: where the text has no more sentences than prune[0], </s> has probability 1.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lm.arpa import ArpaModel, ArpaOrder, write_arpa
from lm.ngram_counts import (
    BEGIN_ID,
    END_ID,
    UNKNOWN_ID,
    OrderCounts,
    TokenStream,
    count_ngrams,
    encode_sentences,
)
from unsup_asr.ranges import NonNegativeInt, PositiveInt, Positives
from unsup_asr.types import BoolArray, Int32Array, Int64Array

logger = logging.getLogger(__name__)

MAX_ORDER = 6  # what the kenlm wheel can query
_Float64Array = NDArray[np.float64]


@dataclass(kw_only=True)
class NgramEstimator:
    """Options of an estimate.

    `prune[i]`: n-grams of order i + 1 seen at most so often are left out; the last one goes for
    the orders above. `discount_fallback`: discounts for counts 1, 2, 3 and more where the text is
    too small or too regular to give them.
    """

    order: PositiveInt = 4
    prune: list[NonNegativeInt] = field(default_factory=lambda: [0])
    discount_fallback: Positives = field(default_factory=lambda: [0.5, 1.0, 1.5])

    def __post_init__(self) -> None:
        if not 1 <= self.order <= MAX_ORDER:
            raise ValueError(f"n-gram order is {self.order}; expected 1 to {MAX_ORDER}")
        if not 1 <= len(self.prune) <= self.order:
            raise ValueError(
                f"prune has {len(self.prune)} thresholds for order {self.order}; expected 1 to "
                f"{self.order} of them"
            )
        if min(self.prune) < 0 or list(self.prune) != sorted(self.prune):
            raise ValueError(f"prune is {list(self.prune)}; expected values that never decrease")
        if len(self.discount_fallback) != 3 or not all(
            0.0 <= d <= k for k, d in enumerate(self.discount_fallback, 1)
        ):
            raise ValueError(
                f"discount_fallback is {list(self.discount_fallback)}; expected three discounts, "
                "for counts 1, 2 and 3+, each between 0 and its count"
            )

    def estimate(self, sentences: Iterable[Sequence[str]]) -> ArpaModel:
        """Model of the sentences, each a sequence of words; an empty sentence counts as </s>."""
        stream = encode_sentences(sentences)
        counts = count_ngrams(stream, self.order)
        adjusted = _adjusted_counts(counts)
        thresholds = [*self.prune, *[self.prune[-1]] * (self.order - len(self.prune))]
        pruned = [c.count <= t for c, t in zip(counts, thresholds, strict=True)]
        pruned[0][[UNKNOWN_ID, BEGIN_ID]] = False
        if self.order == 1:
            pruned[0][END_ID] = False  # lmplz spares it here only
        if pruned[0][END_ID]:
            logger.warning(
                "the text has no more than %d sentences, the threshold for words: </s> has "
                "probability 1, as from lmplz; prune[0]=0 keeps all words",
                thresholds[0],
            )
        discounts = _all_discounts(counts, adjusted, self.discount_fallback)
        return _interpolate(stream, counts, adjusted, pruned, discounts)

    def estimate_to(self, path: Path, sentences: Iterable[Sequence[str]]) -> None:
        """Estimate and write an ARPA file; the same sentences give the same bytes."""
        write_arpa(path, self.estimate(sentences))


def _adjusted_counts(counts: list[OrderCounts]) -> list[Int64Array]:
    """Distinct words to the left; raw counts at sentence begins and for the highest order."""
    adjusted: list[Int64Array] = []
    for below, above in itertools.pairwise(counts):
        left_extensions = np.bincount(above.suffix, minlength=len(below.count))
        adjusted.append(np.where(below.begins_sentence, below.count, left_extensions))
    adjusted.append(counts[-1].count.copy())
    adjusted[0][BEGIN_ID] = 0  # <s> is given, never predicted
    return adjusted


def _all_discounts(
    counts: list[OrderCounts], adjusted: list[Int64Array], fallback: Sequence[float]
) -> list[NDArray[np.float32]]:
    """Discounts of each order for adjusted counts 0, 1, 2 and 3+."""
    last = _last_in_suffix_order(counts)
    discounts: list[NDArray[np.float32]] = []
    for i, adjusted_counts in enumerate(adjusted):
        histogram = np.bincount(np.minimum(adjusted_counts, 5), minlength=6)
        if i < len(last):
            # lmplz enters the last n-gram of each lower order with its raw count
            histogram[min(adjusted_counts[last[i]], 5)] -= 1
            histogram[min(counts[i].count[last[i]], 5)] += 1
        closed_form = _closed_form_discounts(histogram)
        if closed_form is None:
            logger.info("order %d: discounts %s instead of estimates", i + 1, list(fallback))
            closed_form = np.array([0.0, *fallback], dtype=np.float32)
        discounts.append(closed_form)
    return discounts


def _closed_form_discounts(histogram: Int64Array) -> NDArray[np.float32] | None:
    """Chen and Goodman's equation 26, in float32 as lmplz; None where it does not apply."""
    if (histogram[1:4] == 0).any():
        return None
    n = histogram[:5].astype(np.float32)
    y = n[1] / np.float32(float(histogram[1]) + 2.0 * float(histogram[2]))
    discounts = np.zeros(4, dtype=np.float32)
    for j in range(1, 4):
        discounts[j] = np.float32(j) - np.float32(j + 1) * y * n[j + 1] / n[j]
        if not 0 <= discounts[j] <= j:
            return None
    return discounts


def _last_in_suffix_order(counts: list[OrderCounts]) -> list[int]:
    """The greatest n-gram of each order below the highest, words compared from last to first.

    Orders end where it reaches <s>.
    """
    if len(counts) == 1:
        return []
    first_word = counts[0].word
    last = [len(counts[0].count) - 1]
    for order_counts in counts[1:-1]:
        first_word = first_word[order_counts.prefix]
        longer = np.flatnonzero(order_counts.suffix == last[-1])
        if len(longer) == 0:
            break
        last.append(int(longer[np.argmax(first_word[longer])]))
    return last


def _interpolate(
    stream: TokenStream,
    counts: list[OrderCounts],
    adjusted: list[Int64Array],
    pruned: list[BoolArray],
    discounts: list[NDArray[np.float32]],
) -> ArpaModel:
    """Probabilities from the lowest order up, each mixed with that of its suffix."""
    num_kept = int((~pruned[0]).sum())
    lower = np.array([1.0 / (num_kept - 1)])  # uniform over all words but <s>
    probabilities: list[_Float64Array] = []
    backoffs: list[_Float64Array] = []  # of the order below, and last of the highest
    for i, order_counts in enumerate(counts):
        prefix = order_counts.prefix
        num_contexts = len(counts[i - 1].count) if i else 1
        by_count = discounts[i].astype(np.float64)[np.minimum(adjusted[i], 3)]
        discount = np.where(pruned[i], adjusted[i], by_count)
        total = np.bincount(prefix, adjusted[i], minlength=num_contexts)
        freed = np.bincount(prefix, discount, minlength=num_contexts)
        backoff = np.divide(freed, total, out=np.ones(num_contexts), where=total > 0)
        mixed_in = lower[order_counts.suffix] if i else lower[0]
        lower = (adjusted[i] - discount) / total[prefix] + backoff[prefix] * mixed_in
        if i == 0:
            lower[BEGIN_ID] = 1.0
            if pruned[0][END_ID]:
                lower[END_ID] = 1.0
        else:
            backoffs.append(backoff)
        probabilities.append(lower)
    backoffs.append(np.ones(len(counts[-1].count)))
    kept = [~is_pruned for is_pruned in pruned]
    kept[0][END_ID] = True
    orders = [
        ArpaOrder(
            _words_of(counts[: i + 1], rows := np.flatnonzero(kept[i])),
            np.minimum(np.log10(probabilities[i][rows]), 0.0),
            np.log10(backoffs[i][rows]),
        )
        for i in range(len(counts))
    ]
    return ArpaModel(stream.vocabulary, orders)


def _words_of(counts: list[OrderCounts], rows: Int64Array) -> Int32Array:
    """Word ids, shape (rows, order), of types of the last order given."""
    words = np.empty((len(rows), len(counts)), dtype=np.int32)
    for column in range(len(counts) - 1, -1, -1):
        words[:, column] = counts[column].word[rows]
        rows = counts[column].prefix[rows]
    return words
