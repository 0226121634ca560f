"""What a word search reads: a tree of pronunciations and a word n-gram looked up by binary search.

Axes: N tree nodes, P phones, H homophones of a node, S states of the language model, G its n-grams.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lm.arpa import ArpaModel
from lm.lexicon import Lexicon
from lm.ngram_counts import BEGIN, END, UNKNOWN
from lm.ngram_table import StateFinder

logger = logging.getLogger(__name__)

MAX_HOMOPHONES = 8
ROOT = 0
_LN10 = math.log(10.0)


@dataclass(frozen=True)
class WordNgram:
    """An n-gram model over words; all values are natural logs.

    An n-gram is found by its key, state of the context x number of words + word. A state backs off
    to `shorter_S` at the cost `backoff_S`; state 0 is the empty context.
    """

    keys_G: Tensor
    log_probability_G: Tensor
    next_state_G: Tensor
    backoff_S: Tensor
    shorter_S: Tensor
    num_words: int
    order: int
    start_state: int
    word_ids: dict[str, int]

    def look_up(self, state: Tensor, word: Tensor) -> tuple[Tensor, Tensor]:
        """Log probability of each word after its state, and the state after it; flat tensors."""
        total = torch.zeros(state.shape, device=state.device)
        following = torch.zeros_like(state)
        open_ = torch.arange(len(state), device=state.device)
        for _ in range(self.order):
            wanted = state * self.num_words + word
            position = torch.searchsorted(self.keys_G, wanted).clamp(max=len(self.keys_G) - 1)
            found = self.keys_G[position] == wanted
            total[open_[found]] += self.log_probability_G[position[found]]
            following[open_[found]] = self.next_state_G[position[found]]
            missing = ~found
            if not missing.any():
                break
            open_, state, word = open_[missing], state[missing], word[missing]
            total[open_] += self.backoff_S[state]
            state = self.shorter_S[state]
        return total, following


@dataclass(frozen=True)
class PronunciationTree:
    """`child_NP` and `word_NH` hold -1 where there is none; words are ids of the language model.

    `ahead_N`: the best unigram log probability of the words at and below a node, 0 at the root.
    """

    child_NP: Tensor
    word_NH: Tensor
    is_inner_N: Tensor
    ahead_N: Tensor
    words: list[str]  # by id; words that the language model does not know follow its own
    lm_word: Tensor  # what each word is to the language model


def build_word_ngram(model: ArpaModel, *, source: str = "the language model") -> WordNgram:
    """Tensors of the model on the CPU."""
    num_words = len(model.vocabulary)
    ids = {word: i for i, word in enumerate(model.vocabulary)}
    if UNKNOWN not in ids:
        raise ValueError(f"{source}: no {UNKNOWN} among the 1-grams; estimate the model with lm")
    finder = StateFinder(num_words)
    keys, probabilities, following = [], [], []
    backoffs, shorter = [np.zeros(1)], [np.zeros(1, dtype=np.int64)]
    first_free = 1
    for order, values in enumerate(model.orders, 1):
        words = values.words.astype(np.int64)
        keys.append(finder.find(words[:, :-1]) * num_words + words[:, -1])
        probabilities.append(values.log10_probability * _LN10)
        if order == len(model.orders):
            following.append(finder.find(words[:, 1:]))
            break
        states = np.arange(first_free, first_free + len(words))
        following.append(states)
        shorter.append(finder.find(words[:, 1:]))
        finder.add(words, states)
        backoffs.append(values.log10_backoff * _LN10)
        first_free += len(words)
    all_keys = np.concatenate(keys)
    by_key = np.argsort(all_keys, kind="stable")
    start = finder.find(np.array([[ids[BEGIN]]])) if len(model.orders) > 1 else np.zeros(1)
    return WordNgram(
        keys_G=torch.from_numpy(all_keys[by_key]),
        log_probability_G=torch.from_numpy(np.concatenate(probabilities)[by_key]).float(),
        next_state_G=torch.from_numpy(np.concatenate(following)[by_key]),
        backoff_S=torch.from_numpy(np.concatenate(backoffs)).float(),
        shorter_S=torch.from_numpy(np.concatenate(shorter)),
        num_words=num_words,
        order=len(model.orders),
        start_state=int(start[0]),
        word_ids=ids,
    )


def build_tree(
    lexicon: Lexicon, phones: Sequence[str], ngram: WordNgram, *, source: str
) -> PronunciationTree:
    """Tree over `phones` (P); pronunciations with other phones are left out and counted."""
    spellings = _spellings(lexicon, phones, source)
    words = list(dict.fromkeys(word for same in spellings.values() for word in same))
    word_index = {word: i for i, word in enumerate(words)}
    unknown = [word for word in words if word not in ngram.word_ids or word in (BEGIN, END)]
    if unknown:
        logger.warning(
            "%d of %d words of the lexicon are unknown to the language model (first: %s); they "
            "have the score of its unknown word. Estimate it on text that has them, or leave "
            "them out",
            len(unknown),
            len(words),
            ", ".join(unknown[:5]),
        )
    lm_word = torch.tensor([ngram.word_ids.get(w, ngram.word_ids[UNKNOWN]) for w in words])
    unigram, _ = ngram.look_up(torch.zeros_like(lm_word), lm_word)
    children: list[dict[int, int]] = [{}]
    ends: dict[int, list[int]] = {}
    ahead = [-math.inf]
    for spelling, same in sorted(spellings.items()):
        best = max(float(unigram[word_index[word]]) for word in same)
        node = ROOT
        for phone in spelling:
            if phone not in children[node]:
                children[node][phone] = len(children)
                children.append({})
                ahead.append(-math.inf)
            node = children[node][phone]
            ahead[node] = max(ahead[node], best)
        ends[node] = [word_index[word] for word in same]
    child_NP = np.full((len(children), len(phones)), -1, dtype=np.int64)
    for node, by_phone in enumerate(children):
        child_NP[node, list(by_phone)] = list(by_phone.values())
    word_NH = np.full((len(children), max(map(len, ends.values()))), -1, dtype=np.int64)
    for node, same in ends.items():
        word_NH[node, : len(same)] = same
    ahead[ROOT] = 0.0
    return PronunciationTree(
        torch.from_numpy(child_NP),
        torch.from_numpy(word_NH),
        torch.tensor([bool(by_phone) for by_phone in children]),
        torch.tensor(ahead),
        words,
        lm_word,
    )


def _spellings(
    lexicon: Lexicon, phones: Sequence[str], source: str
) -> dict[tuple[int, ...], list[str]]:
    """Words of each spelling in phone ids, the most frequent first."""
    ids = {phone: i for i, phone in enumerate(phones)}
    counted: defaultdict[tuple[int, ...], dict[str, int]] = defaultdict(dict)
    num_unspelled = 0
    for word, pronunciations in lexicon.entries.items():
        for spoken, count in pronunciations.items():
            if all(phone in ids for phone in spoken):
                counted[tuple(ids[p] for p in spoken)][word] = count
            else:
                num_unspelled += 1
    if not counted:
        raise ValueError(
            f"{source}: no word can be spelled with the phones of the posteriors "
            f"({', '.join(phones[:10])}...); lexicon and model must share one inventory"
        )
    spellings = {
        spelling: sorted(words, key=lambda word: (-words[word], word))[:MAX_HOMOPHONES]
        for spelling, words in counted.items()
    }
    num_left = sum(len(counted[s]) - len(words) for s, words in spellings.items())
    if num_unspelled or num_left:
        logger.warning(
            "%s: left out %d pronunciations with phones the posteriors lack, and %d homophones "
            "beyond %d of one spelling: such words are never written. A few do no harm; if they "
            "are many, look at rare phones (text.front_end.min_phone_count) or at the lexicon",
            source,
            num_unspelled,
            num_left,
            MAX_HOMOPHONES,
        )
    return spellings
