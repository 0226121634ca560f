"""What a segmenter makes of text: each phone none, one or several times, by its surroundings.

Segments are not phones: some phones get no segment and some two, and which ones depends on the
phone and on its neighbours (two vowels in a row are often one segment; where a boundary is missed,
one of the two phones goes without, and the other has it). Statistics of text as it is written then
lie further from those of the true phones of the segments than a wrong table does, and matching
takes the wrong table. So the text passes through the same channel before it is counted:

    p(n_i | x_(i-1), n_(i-1), x_i, x_(i+1))      n_i segments of phone x_i

as seen where both are known, in speech whose phones have times. Contexts that were seen seldom
lean on wider ones: without x_(i-1), then without x_(i+1), then x_i alone, then all phones.
"""

# Axes: P places in text, C contexts, N possible numbers of segments.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unsup_asr.ranges import Positive, PositiveInt, Seed
from unsup_asr.types import Int32Array


@dataclass(frozen=True, kw_only=True)
class SegmentationChannel:
    """How numbers of segments are estimated and drawn.

    `max_segments` is the most that a phone can have: more count as so many. A context seen `trust`
    times weighs as much as the wider one that it leans on. `num_contexts`: 1 for all phones alike,
    2 for each phone's own, up to 5 with all of its surroundings.
    """

    max_segments: PositiveInt = 3
    num_contexts: PositiveInt = 5
    trust: Positive = 4.0
    seed: Seed = 0

    def cut(
        self,
        text: Sequence[Int32Array],
        spoken: Sequence[Int32Array],
        num_segments: Sequence[Int32Array],
    ) -> list[Int32Array]:
        """Sentences of `text` with each phone as often as the segmenter might cut it.

        `spoken` are phones of utterances, `num_segments` how many segments each of them got.
        ValueError where these are empty, or do not correspond.
        """
        if [len(x) for x in spoken] != [len(n) for n in num_segments] or not any(map(len, spoken)):
            raise ValueError(
                f"segmentation channel: {sum(map(len, spoken))} phones and "
                f"{sum(map(len, num_segments))} numbers of segments in {len(spoken)} utterances; "
                "expected at least one phone, and a number for each"
            )
        edge = 1 + max(int(x.max()) for x in (*spoken, *text) if len(x))
        seen = _Surroundings.of(spoken, edge)
        seen_P = np.minimum(np.concatenate(num_segments), self.max_segments)
        tables = [
            _Counts.of(keys_P, seen_P, self.max_segments + 1)
            for keys_P in self._contexts(seen, _before(seen_P, seen.is_first_P))
        ]
        drawn_P = self._draw(_Surroundings.of(text, edge), tables)
        ends = np.cumsum([len(x) for x in text])[:-1]
        return [
            np.repeat(x, n).astype(np.int32)
            for x, n in zip(text, np.split(drawn_P, ends), strict=True)
        ]

    def _draw(self, text: _Surroundings, tables: Sequence[_Counts]) -> NDArray[np.int64]:
        """Place by place in all sentences at once, since each draw depends on the one before."""
        rng = np.random.default_rng(self.seed)
        drawn_P = np.ones(len(text.phone_P), dtype=np.int64)
        at_P = np.flatnonzero(text.is_first_P)
        while len(at_P):
            here = text.at(at_P)
            before_P = np.where(here.is_first_P, 1, drawn_P[at_P - 1])
            shares_PN = np.ones((len(at_P), self.max_segments + 1)) / (self.max_segments + 1)
            for keys_P, table in zip(self._contexts(here, before_P), tables, strict=True):
                counts_PN = table.at(keys_P)
                total_P1 = counts_PN.sum(axis=1, keepdims=True)
                shares_PN = (counts_PN + self.trust * shares_PN) / (total_P1 + self.trust)
            reached_PN = shares_PN.cumsum(axis=1)[:, :-1]
            drawn_P[at_P] = (rng.random((len(at_P), 1)) > reached_PN).sum(axis=1)
            at_P = at_P[~here.is_last_P] + 1
        return drawn_P

    def _contexts(
        self, here: _Surroundings, before_P: NDArray[np.int64]
    ) -> list[NDArray[np.int64]]:
        """A number for each context, the widest first."""
        base, counts = here.edge + 1, self.max_segments + 1
        alone_P = here.phone_P.astype(np.int64)
        after_count_P = alone_P * counts + before_P
        in_front_P = after_count_P * base + here.next_P
        between_P = in_front_P * base + here.previous_P
        contexts = [np.zeros_like(alone_P), alone_P, after_count_P, in_front_P, between_P]
        return contexts[: self.num_contexts]


@dataclass(frozen=True)
class _Surroundings:
    """Each place of all sentences, one after the other, and its neighbours; `edge`: none."""

    phone_P: NDArray[np.integer]
    previous_P: NDArray[np.integer]
    next_P: NDArray[np.integer]
    edge: int

    @classmethod
    def of(cls, sentences: Sequence[Int32Array], edge: int) -> _Surroundings:
        sentences = [x for x in sentences if len(x)]
        previous = [np.insert(x[:-1], 0, edge) for x in sentences]
        following = [np.append(x[1:], edge) for x in sentences]
        empty = [np.zeros(0, dtype=np.int32)]  # a text of empty sentences has no places
        return cls(
            phone_P=np.concatenate(empty + sentences),
            previous_P=np.concatenate(empty + previous),
            next_P=np.concatenate(empty + following),
            edge=edge,
        )

    @property
    def is_first_P(self) -> NDArray[np.bool_]:
        return self.previous_P == self.edge

    @property
    def is_last_P(self) -> NDArray[np.bool_]:
        return self.next_P == self.edge

    def at(self, places: NDArray[np.integer]) -> _Surroundings:
        return _Surroundings(
            phone_P=self.phone_P[places],
            previous_P=self.previous_P[places],
            next_P=self.next_P[places],
            edge=self.edge,
        )


@dataclass(frozen=True)
class _Counts:
    """How often each number of segments was seen in each context."""

    context_C: NDArray[np.int64]  # increasing
    counts_CN: NDArray[np.int64]

    @classmethod
    def of(cls, keys_P: NDArray[np.int64], seen_P: NDArray[np.integer], size: int) -> _Counts:
        context_C, row_P = np.unique(keys_P, return_inverse=True)
        flat = np.bincount(row_P * size + seen_P, minlength=len(context_C) * size)
        return cls(context_C, flat.reshape(len(context_C), size))

    def at(self, keys_P: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of the contexts asked for; zeros for those never seen."""
        row_P = np.searchsorted(self.context_C, keys_P).clip(max=len(self.context_C) - 1)
        return self.counts_CN[row_P] * (self.context_C[row_P] == keys_P)[:, None]


def _before(values_P: NDArray[np.integer], is_first_P: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The value of the place before, 1 where a sentence begins."""
    return np.where(is_first_P, 1, np.roll(values_P, 1)).astype(np.int64)
