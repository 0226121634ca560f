"""What an error rate is worth: the rates of the same output where it cannot know anything.

Two nulls, both of the same number of phones as the system wrote. **Audio swap**: each hypothesis is
scored against the reference of another utterance, the nearest in length that says something else; a
system that has only learned what the language is like loses nothing. **Random phones**: each
hypothesis is replaced by as many phones drawn one by one with the text's frequencies, the mean over
`NUM_DRAWS` draws; a random map from clusters to phones with the right marginals writes this where
clusters carry nothing, and it exists for systems that have no clusters too (that of the clusters
themselves is in `scoring.maps`). A system counts as working only where it beats both by `MARGIN`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import Levenshtein

from unsup_asr.types import Hypothesis, Transcript

MARGIN = 5.0  # points of PER
NUM_DRAWS = 5
_SAME_SENTENCE = 0.5  # edits over the longer length, below which two references say the same


@dataclass(frozen=True)
class Nulls:
    """PER in percent; `audio_swap` is None where no two utterances say something else."""

    audio_swap: float | None
    random_phones: float


def nulls_of(
    references: Sequence[Transcript],
    hypotheses: Sequence[Hypothesis],
    frequencies: Mapping[str, float],
    *,
    seed: int,
) -> Nulls:
    """Both nulls of one system, joined by utterance id; `frequencies` are the text's of phones."""
    by_id = {h.utterance_id: h.phones for h in hypotheses}
    written = [by_id[r.utterance_id] for r in references]
    said = [r.phones for r in references]
    return Nulls(_audio_swap(said, written), _random_phones(said, written, frequencies, seed))


def works(per: float, nulls: Nulls) -> bool:
    """Whether an error rate lies at least `MARGIN` points under each null that there is."""
    return margin(per, nulls) >= MARGIN


def margin(per: float, nulls: Nulls) -> float:
    """Points under the lower null."""
    found = [n for n in (nulls.audio_swap, nulls.random_phones) if n is not None]
    return min(found) - per


def phone_frequencies(sentences: Sequence[Sequence[str]]) -> dict[str, float]:
    """Share of each phone among all of the text; ValueError for a text without phones."""
    counts = Counter(phone for sentence in sentences for phone in sentence)
    if not counts:
        raise ValueError("the text has no phones, so that none can be drawn from it")
    return {phone: count / counts.total() for phone, count in sorted(counts.items())}


def swap_partners(said: Sequence[Sequence[str]]) -> list[int | None]:
    """For each reference, the place of another one to swap it with.

    The nearest in length, of equally near ones the next in order of length and place, that differs
    by edits of at least half of the longer: speakers may have read one sentence. None without any.
    """
    order = sorted(range(len(said)), key=lambda i: (len(said[i]), i))
    lengths = [len(said[i]) for i in order]
    partners: list[int | None] = [None] * len(said)
    for place, i in enumerate(order):
        for other in _by_distance(place, lengths):
            if _differ(said[i], said[order[other]]):
                partners[i] = order[other]
                break
    return partners


def _differ(one: Sequence[str], other: Sequence[str]) -> bool:
    return Levenshtein.distance(one, other) >= max(1, _SAME_SENTENCE * max(len(one), len(other)))


def _by_distance(place: int, lengths: Sequence[int]) -> Iterator[int]:
    """Other places of an ascending list, the nearest values first, upwards before downwards."""
    low, high = place - 1, place + 1
    while low >= 0 or high < len(lengths):
        down = lengths[place] - lengths[low] if low >= 0 else None
        up = lengths[high] - lengths[place] if high < len(lengths) else None
        if down is None or (up is not None and up <= down):
            yield high
            high += 1
        else:
            yield low
            low -= 1


def _audio_swap(
    said: Sequence[tuple[str, ...]], written: Sequence[tuple[str, ...]]
) -> float | None:
    pairs = [
        (said[partner], phones)
        for partner, phones in zip(swap_partners(said), written, strict=True)
        if partner is not None
    ]
    return _rate(pairs) if pairs else None


def _random_phones(
    said: Sequence[tuple[str, ...]],
    written: Sequence[tuple[str, ...]],
    frequencies: Mapping[str, float],
    seed: int,
) -> float:
    phones, shares = list(frequencies), np.array(list(frequencies.values()))
    rng = np.random.default_rng(seed)
    rates = []
    for _ in range(NUM_DRAWS):
        drawn = [[phones[p] for p in rng.choice(len(phones), len(w), p=shares)] for w in written]
        rates.append(_rate(list(zip(said, drawn, strict=True))))
    return float(np.mean(rates))


def _rate(pairs: Sequence[tuple[Sequence[str], Sequence[str]]]) -> float:
    edits = sum(Levenshtein.distance(said, written) for said, written in pairs)
    return 100.0 * edits / max(1, sum(len(said) for said, _ in pairs))
