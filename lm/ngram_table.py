"""A phone n-gram model as two dense tables, so that a whole beam is scored by one lookup.

A state is the longest context the model knows (an n-gram of order 0 to N - 1). Axes: S states,
V phones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lm.arpa import ArpaModel
from lm.ngram_counts import BEGIN, END, UNKNOWN
from unsup_asr.types import Float32Array, Int32Array, Int64Array

MAX_CELLS = 1 << 28  # 2 GB for the two tables


@dataclass(frozen=True)
class NgramTable:
    """Natural-log probabilities and next states; `start` is the state after <s>."""

    log_probability_SV: Float32Array
    next_state_SV: Int32Array
    log_end_S: Float32Array
    start: int


def build_ngram_table(
    model: ArpaModel, phones: Sequence[str], *, source: str = "the language model"
) -> NgramTable:
    """Tables whose columns are `phones`; ValueError for phones that the model does not know."""
    ids = {word: i for i, word in enumerate(model.vocabulary)}
    unknown = [phone for phone in phones if phone not in ids or phone in (BEGIN, END, UNKNOWN)]
    if unknown:
        raise ValueError(
            f"{source} does not know {len(unknown)} of {len(phones)} phones: "
            f"{', '.join(unknown[:10])}; estimate it on text with the same inventory"
        )
    num_states = 1 + sum(len(order.words) for order in model.orders[:-1])
    if num_states * len(phones) > MAX_CELLS:
        raise ValueError(
            f"{source} has {num_states} contexts for {len(phones)} phones, more than "
            f"{MAX_CELLS} cells of a decoding table; lower its order or prune it"
        )
    columns = [ids[phone] for phone in phones] + [ids[END]]
    log_probability, next_state, states_of_unigrams = _fill(model, columns, num_states)
    return NgramTable(
        np.ascontiguousarray(log_probability[:, :-1]),
        np.ascontiguousarray(next_state[:, :-1]),
        np.ascontiguousarray(log_probability[:, -1]),
        int(states_of_unigrams[ids[BEGIN]]),
    )


def _fill(
    model: ArpaModel, columns: list[int], num_states: int
) -> tuple[Float32Array, Int32Array, Int64Array]:
    """State 0 is the empty context; then come the n-grams of each order, as in the model.

    A row starts as its suffix's row plus its own back-off; n-grams that exist overwrite it.
    """
    num_words = len(model.vocabulary)
    column_of = np.full(num_words, -1, dtype=np.int64)
    column_of[columns] = np.arange(len(columns))
    log_probability = np.full((num_states, len(columns)), -np.inf, dtype=np.float32)
    next_state = np.zeros((num_states, len(columns)), dtype=np.int32)
    finder = StateFinder(num_words)
    first_free = 1
    states_of_unigrams = np.zeros(num_words, dtype=np.int64)
    for order, values in enumerate(model.orders, 1):
        words = values.words.astype(np.int64)
        is_highest = order == len(model.orders)
        prefix_state = finder.find(words[:, :-1])
        column = column_of[words[:, -1]]
        seen = (column >= 0) & (prefix_state >= 0)
        at = (prefix_state[seen], column[seen])
        log_probability[at] = values.log10_probability[seen] * math.log(10.0)
        if is_highest:
            if order > 1:
                next_state[at] = finder.find(words[seen, 1:])
            break
        states = np.arange(first_free, first_free + len(words))
        next_state[at] = states[seen]
        finder.add(words, states)
        if order == 1:
            states_of_unigrams[words[:, 0]] = states
        suffix_state = finder.find(words[:, 1:]) if order > 1 else np.zeros(len(words), np.int64)
        backoff = (values.log10_backoff * math.log(10.0)).astype(np.float32)
        log_probability[states] = log_probability[suffix_state] + backoff[:, None]
        next_state[states] = next_state[suffix_state]
        first_free += len(words)
    return log_probability, next_state, states_of_unigrams


class StateFinder:
    """State of a context given by its words, by binary search one word at a time."""

    def __init__(self, num_words: int) -> None:
        self._num_words = num_words
        self._keys: list[Int64Array] = []  # of each order, sorted: (state of prefix, word)
        self._states: list[Int64Array] = []

    def add(self, words: Int64Array, states: Int64Array) -> None:
        """The contexts of the next order."""
        keys = self.find(words[:, :-1]) * self._num_words + words[:, -1]
        order = np.argsort(keys, kind="stable")
        self._keys.append(keys[order])
        self._states.append(states[order])

    def find(self, words: Int64Array) -> NDArray[np.int64]:
        """States of the contexts (rows, length); -1 where one is not in the model."""
        state = np.zeros(len(words), dtype=np.int64)
        for column, keys, states in zip(words.T, self._keys, self._states, strict=False):
            wanted = state * self._num_words + column
            position = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            found = (keys[position] == wanted) & (state >= 0)
            state = np.where(found, states[position], -1)
        return state
