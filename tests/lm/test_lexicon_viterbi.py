import itertools
import math

import numpy as np
import pytest

from lm.lexicon_viterbi import LexiconViterbi

SENTENCES = [[(0, 1), (2,)], [(2,), (0, 1), (1, 2)], [(0, 1)]]


def _brute_force(scores_TV, unigrams):
    """Best score over all word sequences and all ways to spread their phones over the frames."""
    num_frames = len(scores_TV)
    best = -math.inf
    for count in range(1, num_frames + 1):
        for words in itertools.product(unigrams, repeat=count):
            phones = [p for word in words for p in word]
            if len(phones) > num_frames:
                continue
            lm = sum(unigrams[word] for word in words)
            for cuts in itertools.combinations(range(1, num_frames), len(phones) - 1):
                edges = [0, *cuts, num_frames]
                acoustic = sum(
                    scores_TV[a:b, p].sum()
                    for p, a, b in zip(phones, edges, edges[1:], strict=False)
                )
                best = max(best, acoustic + lm)
    return best


@pytest.mark.parametrize("seed", range(4))
def test_the_best_score_equals_an_exhaustive_search(seed):
    scores = np.random.default_rng(seed).normal(size=(5, 3)).astype(np.float32) * 2
    viterbi = LexiconViterbi(acoustic_scale=1.0, unknown_word=1e-30)
    found = viterbi.decode(viterbi.tree(SENTENCES, 3), {"u": scores})["u"]
    unigrams = {(0, 1): math.log(3 / 6), (2,): math.log(2 / 6), (1, 2): math.log(1 / 6)}
    assert found.score == pytest.approx(_brute_force(scores, unigrams), abs=1e-4)
    assert found.starts[0] == 0
    assert len(found.frame_phones_T) == 5


def test_equal_phones_of_two_words_stay_two():
    scores = np.full((4, 2), -9.0, dtype=np.float32)
    scores[[0, 1, 2, 3], [0, 1, 1, 0]] = 0.0
    viterbi = LexiconViterbi(acoustic_scale=1.0, unknown_word=1e-30)
    tree = viterbi.tree([[(0, 1), (1, 0)]], 2)
    assert viterbi.decode(tree, {"u": scores})["u"].phones.tolist() == [0, 1, 1, 0]


def test_a_word_outside_the_lexicon_passes_through_the_phone_loop():
    scores = np.full((3, 3), -50.0, dtype=np.float32)
    scores[[0, 1, 2], [2, 1, 0]] = 0.0
    viterbi = LexiconViterbi(acoustic_scale=1.0, unknown_word=0.01)
    tree = viterbi.tree([[(0, 1, 2)]] * 5, 3)
    assert viterbi.decode(tree, {"u": scores})["u"].phones.tolist() == [2, 1, 0]


def test_the_batch_size_changes_nothing():
    rng = np.random.default_rng(1)
    scores = {f"u{i}": rng.normal(size=(n, 3)).astype(np.float32) for i, n in enumerate((3, 9, 6))}
    results = []
    for batch_size in (1, 3):
        viterbi = LexiconViterbi(batch_size=batch_size)
        results.append(viterbi.decode(viterbi.tree(SENTENCES, 3), scores))
    for utterance_id in scores:
        np.testing.assert_array_equal(
            results[0][utterance_id].frame_phones_T, results[1][utterance_id].frame_phones_T
        )


def test_a_text_without_frequent_words_is_an_error():
    with pytest.raises(ValueError, match="no word occurs 9 times"):
        LexiconViterbi(min_count=9).tree(SENTENCES, 3)


def test_batches_side_by_side_equal_one_utterance_at_a_time():
    rng = np.random.default_rng(0)
    scores = {f"u{n}": rng.normal(size=(n, 3)).astype(np.float32) for n in (9, 4, 7, 12, 5)}
    viterbi = LexiconViterbi(batch_size=2)
    tree = viterbi.tree(SENTENCES, 3)
    ticks = []
    together = viterbi.decode(tree, scores, progress=lambda: ticks.append(1))
    assert list(together) == list(scores)
    assert len(ticks) == 3
    for utterance_id, found in together.items():
        alone = viterbi.decode(tree, {utterance_id: scores[utterance_id]})[utterance_id]
        np.testing.assert_array_equal(found.frame_phones_T, alone.frame_phones_T)
        assert found.score == pytest.approx(alone.score, abs=1e-4)
