"""What a table from clusters of segments to phones can reach, at most and by chance.

The majority map is the ceiling of any table for these clusters: each goes to the phone that it
overlaps longest, over the segments that it is made from. The segments' own ceiling gives each
segment the phone that it overlaps longest: what cutting alone has lost. The random map is the
floor. Equal neighbours are written once, as systems write them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unsup_asr.types import Int32Array, Seconds, Transcript

Spans = tuple[tuple[Seconds, ...], tuple[Seconds, ...]]  # starts and ends of segments


@dataclass(frozen=True, kw_only=True)
class MapScores:
    """PER in percent on the test set of phones written for the segments of one matching.

    The two ceilings need references with times: None without.
    """

    system: str
    random_map: float
    majority_map: float | None
    segments: float | None


def seconds_of_phones(spans: Spans, reference: Transcript) -> list[dict[str, Seconds]]:
    """Seconds of each phone that each segment overlaps; empty where it overlaps none."""
    found: list[dict[str, Seconds]] = []
    first = 0
    for start, end in zip(*spans, strict=True):
        overlap: dict[str, Seconds] = {}
        while first < len(reference.phones) and reference.ends_s[first] <= start:
            first += 1
        i = first
        while i < len(reference.phones) and reference.starts_s[i] < end:
            shared_s = min(end, reference.ends_s[i]) - max(start, reference.starts_s[i])
            overlap[reference.phones[i]] = overlap.get(reference.phones[i], 0.0) + shared_s
            i += 1
        found.append(overlap)
    return found


def majority_map(
    clusters: Mapping[str, Int32Array], heard: Mapping[str, Sequence[Mapping[str, Seconds]]]
) -> dict[int, str]:
    """The phone that each cluster overlaps longest, by utterance id; none for one that none does.

    `heard` as `seconds_of_phones`, one entry a segment.
    """
    totals: dict[int, dict[str, Seconds]] = {}
    for utterance_id, overlaps in heard.items():
        for cluster, overlap in zip(clusters[utterance_id].tolist(), overlaps, strict=True):
            total = totals.setdefault(cluster, {})
            for phone, seconds in overlap.items():
                total[phone] = total.get(phone, 0.0) + seconds
    return {cluster: longest(total) for cluster, total in totals.items() if total}


def longest(overlap: Mapping[str, Seconds]) -> str:
    """The phone of the most seconds, of equal ones the first by name."""
    return min(overlap, key=lambda phone: (-overlap[phone], phone))


def random_map(
    clusters: Mapping[str, Int32Array], frequencies: Mapping[str, float], rng: np.random.Generator
) -> dict[int, str]:
    """A phone for each cluster, so that phones are written about as often as in the text.

    Clusters in random order and phones are laid side by side on a line from 0 to 1, as long as
    their shares of segments and of the text; a cluster gets the phone that its middle lies on.
    """
    ids, counts = np.unique(np.concatenate(list(clusters.values())), return_counts=True)
    order = rng.permutation(len(ids))
    shares = counts[order] / counts.sum()
    middles = shares.cumsum() - shares / 2
    edges = np.array(list(frequencies.values())).cumsum()
    phones = list(frequencies)
    places = np.minimum(np.searchsorted(edges, middles), len(phones) - 1)
    return {int(ids[i]): phones[p] for i, p in zip(order, places, strict=True)}


def written(labels: Sequence[str | None]) -> tuple[str, ...]:
    """Phones of segments, equal neighbours once; a segment without a phone writes nothing."""
    phones: list[str] = []
    for label in labels:
        if label is not None and phones[-1:] != [label]:
            phones.append(label)
    return tuple(phones)
