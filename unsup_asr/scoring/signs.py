"""Signs that need no references: how like the text, and how like the speech's length, an output is.

The text has the same signs, to compare with: its rate is that of its sentences said in the time of
an utterance, its divergence that of as many of its sentences from the others, since divergence
grows where there is little to count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np
from rapidfuzz.distance import Levenshtein

from unsup_asr.scoring.metrics import ngram_js_divergence
from unsup_asr.types import Seconds

ORDERS = (1, 2, 3)
TEXT = "text"  # the row to compare with


@dataclass(frozen=True, kw_only=True)
class Signs:
    """Of one system's output for the training audio, or of the text.

    `phones_per_second` of the speech that is left where silences are cut. `js_divergence` in bits
    from the text, by order of n-grams, where there are any. `equal_neighbours` is the share of
    neighbouring segments with one phone, or of neighbouring phones where a system names no
    segments. `perplexity`: weighted, under the text's model. `edits_from_final`: in percent of
    the phones of the final system, None for the text.
    """

    phones_per_utterance: float
    phones_per_second: float
    js_divergence: dict[int, float]
    equal_neighbours: float
    perplexity: float
    edits_from_final: float | None = None

    def to_json(self) -> dict[str, object]:
        """Plain values; an infinite perplexity is the string "inf"."""
        data = asdict(self)
        data["js_divergence"] = {str(n): bits for n, bits in self.js_divergence.items()}
        if not np.isfinite(self.perplexity):
            data["perplexity"] = str(self.perplexity)
        return data

    @classmethod
    def from_json(cls, data: Mapping) -> Signs:
        """What `to_json` wrote."""
        js_divergence = {int(n): bits for n, bits in data["js_divergence"].items()}
        perplexity = float(data["perplexity"])
        return cls(**{**data, "js_divergence": js_divergence, "perplexity": perplexity})


def signs_of(
    output: Sequence[Sequence[str]],
    text: Sequence[Sequence[str]],
    *,
    seconds: Sequence[Seconds],
    perplexity: float,
    final: Sequence[Sequence[str]],
    named_segments: Sequence[Sequence[object]] | None = None,
) -> Signs:
    """Signs of an output of one sequence an utterance; `seconds` of speech of each utterance,
    `final` output of the final system for the same ones.

    `named_segments`: labels of the segments, equal neighbours not merged, where there are any.
    """
    per_utterance = float(np.mean([len(phones) for phones in output]))
    return Signs(
        phones_per_utterance=per_utterance,
        phones_per_second=per_utterance / float(np.mean(seconds)),
        js_divergence=divergences(text, output, orders=ORDERS),
        equal_neighbours=share_of_equal_neighbours(named_segments or output),
        perplexity=perplexity,
        edits_from_final=_edits(final, output),
    )


def signs_of_text(
    text: Sequence[Sequence[str]], *, seconds: Sequence[Seconds], perplexity: float
) -> Signs:
    """Signs of the text itself, of as many of its sentences as there are utterances."""
    per_sentence = float(np.mean([len(sentence) for sentence in text]))
    return Signs(
        phones_per_utterance=per_sentence,
        phones_per_second=per_sentence / float(np.mean(seconds)),
        js_divergence=divergences_of_text(text, len(seconds), orders=ORDERS),
        equal_neighbours=share_of_equal_neighbours(text),
        perplexity=perplexity,
    )


def divergences(
    text: Sequence[Sequence[str]], output: Sequence[Sequence[str]], *, orders: Sequence[int]
) -> dict[int, float]:
    """Bits between the n-grams of text and output, by order, where both have any: a run that has
    failed may write next to nothing, and its report must still be written.
    """
    longest = min(max((len(phones) for phones in side), default=0) for side in (text, output))
    return {n: ngram_js_divergence(text, output, n) for n in orders if n <= longest}


def divergences_of_text(
    text: Sequence[Sequence[str]], num_sentences: int, *, orders: Sequence[int]
) -> dict[int, float]:
    """What the text's own sentences diverge by: about `num_sentences` of them, every k-th, at most
    half, against the others.
    """
    step = max(2, round(len(text) / num_sentences))
    others = [sentence for i, sentence in enumerate(text) if i % step]
    return divergences(others, text[::step], orders=orders)


def _edits(final: Sequence[Sequence[str]], output: Sequence[Sequence[str]]) -> float:
    edits = sum(Levenshtein.distance(a, b) for a, b in zip(final, output, strict=True))
    return 100.0 * edits / max(1, sum(len(phones) for phones in final))


def share_of_equal_neighbours(sequences: Sequence[Sequence[object]]) -> float:
    """Of all pairs of neighbours within a sequence; 0 without any pair."""
    equal = [a == b for sequence in sequences for a, b in pairwise(sequence)]
    return float(np.mean(equal)) if equal else 0.0
