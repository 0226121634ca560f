"""The unsupervised criterion by which systems are compared and chosen: no references.

Perplexity of the recognised phones under the text's n-gram model, over the squared share of the
inventory that they use (fairseq wav2vec-U's weighted LM perplexity; lower is better). Without the
share, a system that only ever writes the few likeliest phones would win. Output and text are
compared over the same symbols: neither has silences.
"""

from __future__ import annotations

from collections.abc import Sequence


def weighted_perplexity(
    perplexity: float, sequences: Sequence[Sequence[str]], *, num_phones: int
) -> float:
    """perplexity / usage^2; infinite when nothing was recognised at all."""
    used = {phone for sequence in sequences for phone in sequence}
    if not used:
        return float("inf")
    return perplexity / (len(used) / num_phones) ** 2
