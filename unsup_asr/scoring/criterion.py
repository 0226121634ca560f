"""The unsupervised criterion by which systems are compared and chosen: no references.

Perplexity of the recognised phones under the text's n-gram model, over the squared share of the
inventory that they use (fairseq wav2vec-U's weighted LM perplexity; lower is better). Without the
share, a system that only ever writes the few likeliest phones would win. Output and text are
compared over the same symbols: neither has silences.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def weighted_perplexity(
    perplexity: float, sequences: Sequence[Sequence[str]], *, num_phones: int
) -> float:
    """perplexity / usage^2; infinite when nothing was recognised at all."""
    used = {phone for sequence in sequences for phone in sequence}
    if not used:
        return float("inf")
    return perplexity / (len(used) / num_phones) ** 2


def with_what_is_missing(
    weighted: float, *, mean_length: float, wanted: float, num_phones: int
) -> float:
    """The same for `wanted` phones an utterance, where those missing cost ln(num_phones) each.

        ln = (n ln(weighted) + max(0, wanted - n) ln(num_phones)) / wanted      n = mean_length

    Perplexity is a phone's of those that were written, so it falls where a system leaves out what
    it is unsure of; here a phone that is missing is one that was guessed. `wanted`: the phones of a
    sentence of text. Too many phones cost what they cost. Infinite where `weighted` is.
    """
    if not math.isfinite(weighted):
        return float("inf")
    missing = max(0.0, wanted - mean_length)
    written = mean_length * math.log(weighted)
    return math.exp((written + missing * math.log(num_phones)) / wanted)
