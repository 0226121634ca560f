"""Dividing the phones of a sentence among its words, with each word's pronunciation alone as guide.

espeak-ng joins frequent pairs (`of the`) and says some words as several (`1990`, `iii`), so groups
of phones and words need not be one to one. The division never adds or loses a phone. It takes time
in proportion to the line: of each number of words only the most promising divisions are kept.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from rapidfuzz.distance import Levenshtein

from unsup_asr.speech.phones import VOWELS

Phones: TypeAlias = tuple[str, ...]
Groups: TypeAlias = tuple[Phones, ...]

MAX_WORDS_A_GROUP = 4
DOUBTFUL_ERRORS = 0.8  # edits a phone, above which a division is a guess
_BEAM = 12  # divisions kept for each number of words
_MERGED_ERRORS = 3  # edits at most, where a word without phones shares those of its neighbours


@dataclass(frozen=True)
class Division:
    """Phones of each word; whether that is a guess, and whether words with phones have none."""

    phones: list[Phones]
    is_doubtful: bool = False
    has_lost_words: bool = False


def divide_among_words(alone: Sequence[Groups], groups: Sequence[Phones]) -> Division:
    """Divide the groups of a sentence among its words.

    `alone[i]`: the groups of word i said alone. What agrees at both ends is taken as it is; between
    them, dynamic programming over (words, groups): up to four words share a group, or one word
    takes several; cost is the edit distance.
    """
    start = 0
    shorter = min(len(alone), len(groups))
    while start < shorter and alone[start] == (groups[start],):
        start += 1
    end = 0
    while end < shorter - start and alone[-1 - end] == (groups[-1 - end],):
        end += 1
    if start + end == len(alone) < len(groups):  # the rest belongs to some word
        start, end = (start - 1, end) if start else (start, end - 1)
    middle, is_doubtful = _divide_middle(
        alone[start : len(alone) - end], groups[start : len(groups) - end]
    )
    phones = [*groups[:start], *middle, *groups[len(groups) - end :]]
    has_lost_words = not _let_neighbours_share(alone, phones)
    return Division(phones, is_doubtful, has_lost_words)


def _divide_middle(alone: Sequence[Groups], groups: Sequence[Phones]) -> tuple[list[Phones], bool]:
    num_words, num_groups = len(alone), len(groups)
    if not num_words or not num_groups:
        return [()] * num_words, num_words > 0
    wanted = [0, *itertools.accumulate(map(_num_phones, alone))]
    spoken = [0, *itertools.accumulate(map(len, groups))]
    # of (words, groups) taken: cost and the step that led there
    table: list[dict[int, tuple[float, int, int]]] = [{} for _ in range(num_words + 1)]
    table[0][0] = (0.0, 0, 0)
    for i in range(num_words):
        to_come = wanted[-1] - wanted[i] - spoken[-1]
        # cost so far and the least that is to come
        promise = {j: cost + abs(to_come + spoken[j]) for j, (cost, _, _) in table[i].items()}
        for j in heapq.nsmallest(_BEAM, promise, key=promise.__getitem__):
            here = table[i][j][0]
            for di, dj in _steps(alone[i], num_words - i, num_groups - j):
                step = _distance(tuple(alone[i : i + di]), tuple(groups[j : j + dj]))
                # a tie goes to the step that is one to one
                total = here + step + 0.01 * (di + dj - 2 if dj else 1)
                if total < table[i + di].get(j + dj, (float("inf"),))[0]:
                    table[i + di][j + dj] = (total, di, dj)
    if num_groups not in table[-1]:
        return list(_share(tuple(alone), tuple(groups))), True
    is_doubtful = table[-1][num_groups][0] > DOUBTFUL_ERRORS * max(1, spoken[-1])
    divided: list[Phones] = []
    i, j = num_words, num_groups
    while i or j:
        _, di, dj = table[i][j]
        i, j = i - di, j - dj
        divided.extend(reversed(_share(tuple(alone[i : i + di]), tuple(groups[j : j + dj]))))
    return divided[::-1], is_doubtful


def _let_neighbours_share(alone: Sequence[Groups], phones: list[Phones]) -> bool:
    """Give words that were left without phones some of their neighbours', where these were said
    as one (`с в` as `s f`); whether no word is without any then, but those that nobody can say.
    """
    found_all = True
    for i, word in enumerate(alone):
        if phones[i] or not _num_phones(word):
            continue
        around = range(max(0, i - 2), min(len(phones), i + 3))
        shares = [share for width in (2, 3) for share in _shares(alone, phones, i, around, width)]
        cost, first, parts = min(shares, key=lambda share: share[:2], default=(1 << 30, 0, ()))
        if cost > _MERGED_ERRORS:
            found_all = False
        else:
            phones[first : first + len(parts)] = parts
    return found_all


def _shares(
    alone: Sequence[Groups], phones: Sequence[Phones], lost: int, around: range, width: int
) -> list[tuple[int, int, list[Phones]]]:
    """Edits, first word and parts of each way for `width` words to share what they have."""
    found: list[tuple[int, int, list[Phones]]] = []
    for first in range(max(around.start, lost - width + 1), lost + 1):
        if first + width > around.stop:
            continue
        said = [phone for word in phones[first : first + width] for phone in word]
        for cuts in itertools.combinations(range(1, len(said)), width - 1):
            edges = [0, *cuts, len(said)]
            parts = [tuple(said[a:b]) for a, b in itertools.pairwise(edges)]
            cost = sum(
                _distance((word,), (part,))
                for word, part in zip(alone[first : first + width], parts, strict=True)
            )
            found.append((cost, first, parts))
    return found


def _num_phones(word: Groups) -> int:
    return sum(map(len, word))


def _steps(word: Groups, words_left: int, groups_left: int) -> list[tuple[int, int]]:
    """(words, groups) that may be taken together from here."""
    steps = [(1, 0)]
    if groups_left:
        steps += [(di, 1) for di in range(1, min(MAX_WORDS_A_GROUP, words_left) + 1)]
    if groups_left > 1 and len(word) > 1:
        steps += [(1, dj) for dj in range(2, min(len(word) + 1, groups_left) + 1)]
    return steps


@lru_cache(maxsize=1 << 18)
def _distance(words: tuple[Groups, ...], groups: Groups) -> int:
    wanted = [phone for word in words for group in word for phone in group]
    return Levenshtein.distance(wanted, [phone for group in groups for phone in group])


@lru_cache(maxsize=1 << 16)
def _share(words: tuple[Groups, ...], groups: Groups) -> tuple[Phones, ...]:
    """Each word's part of the groups, along the cheapest alignment of phones."""
    spoken = [phone for group in groups for phone in group]
    if len(words) == 1:
        return (tuple(spoken),)
    wanted = [(phone, w) for w, own in enumerate(words) for group in own for phone in group]
    table = _edit_table([phone for phone, _ in wanted], spoken)
    parts: list[list[str]] = [[] for _ in words]
    i, j = len(wanted), len(spoken)
    while j:
        at = table[i][j]
        if i and at == table[i - 1][j - 1] + _substitution(wanted[i - 1][0], spoken[j - 1]):
            i, j = i - 1, j - 1
            parts[wanted[i][1]].append(spoken[j])
        elif i and at == table[i - 1][j] + 1.0:
            i -= 1
        else:
            j -= 1
            owner = wanted[min(i, len(wanted) - 1)][1] if wanted else 0
            parts[owner].append(spoken[j])
    return tuple(tuple(reversed(part)) for part in parts)


def _edit_table(wanted: Sequence[str], spoken: Sequence[str]) -> list[list[float]]:
    table = [[float(j) for j in range(len(spoken) + 1)]]
    for i, phone in enumerate(wanted, 1):
        above = table[-1]
        row = [float(i)]
        for j, heard in enumerate(spoken, 1):
            row.append(
                min(above[j - 1] + _substitution(phone, heard), above[j] + 1.0, row[-1] + 1.0)
            )
        table.append(row)
    return table


def _substitution(wanted: str, spoken: str) -> float:
    """A vowel for a vowel is cheap (sentences reduce words), a vowel for a consonant not."""
    if wanted == spoken:
        return 0.0
    return 0.75 if (wanted[0] in VOWELS) == (spoken[0] in VOWELS) else 1.75
