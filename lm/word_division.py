"""Dividing the phones of a sentence among its words, with each word's pronunciation alone as guide.

espeak-ng joins frequent pairs (`of the`) and says some words as several (`1990`, `iii`), so groups
of phones and words need not be one to one. The division never adds or loses a phone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

from rapidfuzz.distance import Levenshtein

Phones: TypeAlias = tuple[str, ...]
Groups: TypeAlias = tuple[Phones, ...]

MAX_WORDS_A_GROUP = 4
DOUBTFUL_ERRORS = 0.8  # edits a phone, above which a division is a guess
_VOWEL_LETTERS = frozenset("aeiouyɑɐɒæɛɜɝəɚɘɵɞɪʏɨʉɯɤʌɔøœɶʊᵻᵿ")


def divide_among_words(
    alone: Sequence[Groups], groups: Sequence[Phones]
) -> tuple[list[Phones], bool]:
    """Phones of each word and whether that is a guess.

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
    middle, is_doubtful = _divide_middle(
        alone[start : len(alone) - end], groups[start : len(groups) - end]
    )
    return [*groups[:start], *middle, *groups[len(groups) - end :]], is_doubtful


def _divide_middle(alone: Sequence[Groups], groups: Sequence[Phones]) -> tuple[list[Phones], bool]:
    num_words, num_groups = len(alone), len(groups)
    cost = {(0, 0): 0.0}
    back: dict[tuple[int, int], tuple[int, int]] = {}
    for i in range(num_words):
        for j in range(num_groups + 1):
            here = cost.get((i, j))
            if here is None:
                continue
            for di, dj in _steps(alone[i], num_words - i, num_groups - j):
                step = _distance(tuple(alone[i : i + di]), tuple(groups[j : j + dj]))
                # a tie goes to the step that is one to one
                total = here + step + 0.01 * (di + dj - 2 if dj else 1)
                if total < cost.get((i + di, j + dj), float("inf")):
                    cost[(i + di, j + dj)] = total
                    back[(i + di, j + dj)] = (di, dj)
    i, j = num_words, num_groups
    if (i, j) not in cost:
        return list(_share(tuple(alone), tuple(groups))), True
    is_doubtful = cost[(i, j)] > DOUBTFUL_ERRORS * max(1, sum(map(len, groups)))
    divided: list[Phones] = []
    while i or j:
        di, dj = back[(i, j)]
        i, j = i - di, j - dj
        divided[:0] = _share(tuple(alone[i : i + di]), tuple(groups[j : j + dj]))
    return divided, is_doubtful


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
    return 0.75 if (wanted[0] in _VOWEL_LETTERS) == (spoken[0] in _VOWEL_LETTERS) else 1.75
