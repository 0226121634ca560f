"""Counting n-grams of tokenised sentences with numpy: every order at once, nothing hashed.

An n-gram of order k is the pair (its prefix of order k - 1, its last word), both integers, packed
into one int64 key; types are the sorted unique keys. Where the space of keys is small enough
(phones), a table over all keys replaces the sort.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unsup_asr.types import BoolArray, Int32Array, Int64Array

UNKNOWN, BEGIN, END = "<unk>", "<s>", "</s>"
UNKNOWN_ID, BEGIN_ID, END_ID = 0, 1, 2
DENSE_KEYS = 1 << 26  # tables up to this size replace sorting (512 MB while one order is counted)


@dataclass(frozen=True)
class TokenStream:
    """All sentences one after the other, each as <s> words </s>; ids by first occurrence."""

    vocabulary: list[str]
    tokens: Int32Array
    num_sentences: int


@dataclass(frozen=True)
class OrderCounts:
    """Types of one order, sorted by (prefix, word). `prefix` and `suffix` index the order below.

    For unigrams prefix is 0, suffix -1, and word equals the index.
    """

    prefix: Int64Array
    word: Int32Array
    suffix: Int64Array
    count: Int64Array
    begins_sentence: BoolArray  # starts with <s>


def encode_sentences(sentences: Iterable[Sequence[str]]) -> TokenStream:
    """Ids of the words of each sentence; ValueError for <s>, </s> and <unk> among the words."""
    ids = {UNKNOWN: UNKNOWN_ID, BEGIN: BEGIN_ID, END: END_ID}
    chunks: list[Int32Array] = []
    pending: list[int] = []
    num_sentences = 0
    for sentence in sentences:
        pending.append(BEGIN_ID)
        try:
            pending.extend(map(ids.__getitem__, sentence))
        except KeyError:
            del pending[len(pending) - _num_known(sentence, ids) :]
            pending.extend(ids.setdefault(word, len(ids)) for word in sentence)
        pending.append(END_ID)
        num_sentences += 1
        if len(pending) > 1 << 20:
            chunks.append(np.array(pending, dtype=np.int32))
            pending.clear()
    chunks.append(np.array(pending, dtype=np.int32))
    if num_sentences == 0:
        raise ValueError("no sentences to estimate a language model from; is the text empty?")
    stream = TokenStream(list(ids), np.concatenate(chunks), num_sentences)
    _check_special_tokens(stream)
    return stream


def count_ngrams(stream: TokenStream, order: int) -> list[OrderCounts]:
    """Types and raw counts of orders 1 to `order`, in sentences opened by one <s>."""
    num_words = len(stream.vocabulary)
    tokens = stream.tokens
    counts = [_unigrams(tokens, num_words)]
    small = np.int32 if len(tokens) < 2**31 else np.int64  # a text has tens of millions of tokens
    ends = np.arange(len(tokens), dtype=small)  # where each n-gram of the order below ends
    ids: NDArray[np.integer] = tokens  # which type it is
    for _ in range(2, order + 1):
        goes_on = tokens[ends] != END_ID
        ends = ends[goes_on]
        ends += 1
        keys = ids[goes_on].astype(np.int64)
        del goes_on
        keys *= num_words
        keys += tokens[ends]
        below = counts[-1]
        types, ids, count = _unique(keys, len(below.count) * num_words)
        del keys
        prefix, word = np.divmod(types, num_words)
        suffix = _suffixes(counts, prefix, word, num_words)
        counts.append(
            OrderCounts(prefix, word.astype(np.int32), suffix, count, below.begins_sentence[prefix])
        )
    return counts


def _unigrams(tokens: Int32Array, num_words: int) -> OrderCounts:
    word = np.arange(num_words, dtype=np.int32)
    return OrderCounts(
        prefix=np.zeros(num_words, dtype=np.int64),
        word=word,
        suffix=np.full(num_words, -1, dtype=np.int64),
        count=np.bincount(tokens, minlength=num_words).astype(np.int64),
        begins_sentence=word == BEGIN_ID,
    )


def _unique(keys: Int64Array, num_keys: int) -> tuple[Int64Array, NDArray[np.integer], Int64Array]:
    """Sorted unique keys, the index of each key among them, and their counts."""
    if num_keys > DENSE_KEYS:
        types, ids, count = np.unique(keys, return_inverse=True, return_counts=True)
        return types, ids, count.astype(np.int64)
    table = np.bincount(keys, minlength=num_keys)
    types = np.flatnonzero(table)
    count = table[types]
    del table
    index = np.zeros(num_keys, dtype=np.int32)
    index[types] = np.arange(len(types))
    return types, index[keys], count


def _suffixes(
    counts: list[OrderCounts], prefix: Int64Array, word: Int64Array, num_words: int
) -> Int64Array:
    """Index, in the order below, of each n-gram without its first word."""
    below = counts[-1]
    if len(counts) == 1:
        return word
    keys_below = below.prefix * num_words + below.word
    return np.searchsorted(keys_below, below.suffix[prefix] * num_words + word)


def _num_known(sentence: Sequence[str], ids: dict[str, int]) -> int:
    """Words before the first unknown one: as many as `extend` took before it failed."""
    for i, word in enumerate(sentence):
        if word not in ids:
            return i
    raise AssertionError("no unknown word")


def _check_special_tokens(stream: TokenStream) -> None:
    found = np.bincount(stream.tokens, minlength=3)[:3]
    expected = (0, stream.num_sentences, stream.num_sentences)
    for name, n, allowed in zip((UNKNOWN, BEGIN, END), found, expected, strict=True):
        if n != allowed:
            raise ValueError(
                f"the text has {n - allowed} words {name!r}, which the language model adds "
                "itself; remove or rename them in the text"
            )
