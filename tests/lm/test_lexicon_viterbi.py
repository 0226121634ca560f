import itertools
import math

import numpy as np
import pytest

from lm import lexicon_forward, lexicon_viterbi
from lm.lexicon_forward import LexiconSearch, Weights, bytes_at_once
from lm.lexicon_traceback import trace_back
from lm.lexicon_viterbi import LexiconViterbi
from tests.lm.lexicon_reference import search
from tests.pretend_device import pretend_device
from unsup_asr import compute

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


def test_a_text_without_frequent_words_is_an_error():
    with pytest.raises(ValueError, match="no word occurs 9 times"):
        LexiconViterbi(min_count=9).tree(SENTENCES, 3)


def random_problem(seed, *, with_ties=False, num_words=9, num_phones=4):
    """A lexicon with prefixes and homophones, options, and scores of utterances of all lengths."""
    rng = np.random.default_rng(seed)
    words = [tuple(rng.integers(0, num_phones, n).tolist()) for n in rng.integers(1, 6, num_words)]
    words += [word[:-1] or word for word in words[:3]]
    viterbi = LexiconViterbi(
        acoustic_scale=1.0 if with_ties else 0.7,
        lm_scale=0.0 if with_ties else 1.0,
        unknown_word=float(rng.choice([1e-8, 1e-3, 0.3])),
        word_score=float(rng.choice([0, -1, 1])),
    )
    tree = viterbi.tree([words, words[:4]], num_phones)
    scores = {}
    for n in (1, 1, 2, 3, 8, 30, 100):
        shape = (n, num_phones)
        drawn = rng.integers(-2, 3, shape) if with_ties else rng.normal(0, 2, shape)
        scores[f"{len(scores)} of {n}"] = drawn.astype(np.float32)
    return viterbi, tree, scores


def assert_equal_to_the_reference(viterbi, tree, scores, **options):
    found = viterbi.decode(tree, scores, **options)
    assert list(found) == list(scores)
    for utterance_id, alignment in found.items():
        phones_T, starts, score = search(viterbi, tree, scores[utterance_id])
        np.testing.assert_array_equal(alignment.frame_phones_T, phones_T, utterance_id)
        np.testing.assert_array_equal(alignment.starts, starts, utterance_id)
        assert alignment.score == score


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("with_ties", [False, True])
def test_every_alignment_is_that_of_a_search_with_all_back_pointers(seed, with_ties):
    assert_equal_to_the_reference(*random_problem(seed, with_ties=with_ties))


def test_utterances_shorter_than_any_word_pass_through_the_phone_loop():
    viterbi = LexiconViterbi()
    tree = viterbi.tree([[(0, 1, 2, 0, 1)]], 3)
    scores = {str(n): np.eye(3, dtype=np.float32)[np.arange(n) % 3] for n in (1, 2, 4)}
    assert_equal_to_the_reference(viterbi, tree, scores)


@pytest.mark.parametrize("threads", [1, 2])
def test_neither_memory_nor_threads_nor_blocks_of_nodes_change_anything(threads, monkeypatch):
    viterbi, tree, scores = random_problem(3, num_words=1500, num_phones=8)
    assert tree.num_tree_nodes > 1024
    monkeypatch.setattr(lexicon_forward, "_BLOCK_BYTES", 1)  # blocks of 512
    sizes = []
    monkeypatch.setattr(
        lexicon_viterbi,
        "bytes_at_once",
        lambda tree, num_frames, size: sizes.append(size) or (size > 2) * 1e12,
    )
    assert_equal_to_the_reference(viterbi, tree, scores, num_threads=threads)
    assert max(sizes) > 2


def test_what_is_kept_of_a_search_does_not_grow_with_the_lexicon():
    kept = []
    for num_words in (3, 900):
        viterbi, tree, scores = random_problem(0, num_words=num_words, num_phones=8)
        frames_TVB, _ = viterbi._padded(list(scores.values()))
        weights = Weights(viterbi.lm_scale, viterbi.word_score)
        searched = LexiconSearch(tree, weights, batch_size=len(scores)).run(frames_TVB)
        arrays = (searched.root_TB, searched.end_TB, searched.loop_TVB)
        kept.append(sum(array.nbytes for array in arrays) / len(scores) / len(frames_TVB))
    assert kept == [16.0, 16.0]  # bytes a frame: one a phone, and the root's score and word


def test_a_batch_takes_the_memory_that_it_may():
    tree = LexiconViterbi().tree([[(p, q) for p in range(40) for q in range(40)]], 40)
    of_one = bytes_at_once(tree, 10_000, 1)
    lengths = {str(i): 10_000 for i in range(40)}
    for num_threads in (1, 2):
        memory_gb = num_threads * 5.5 * of_one / 1e9
        batches = LexiconViterbi(memory_gb=memory_gb)._batches(tree, lengths, num_threads)
        assert {len(batch) for batch in batches} <= {4, 5, 6}
    alone = LexiconViterbi(memory_gb=0.01)._batches(tree, {"day": 3_000_000}, 1)
    assert alone == [["day"]]


def test_words_longer_than_where_they_are_looked_for_first_are_found():
    viterbi, tree, scores = random_problem(5)
    weights = Weights(viterbi.lm_scale, viterbi.word_score)
    rng = np.random.default_rng(0)
    slow = {i: np.repeat(x, 7, axis=0) for i, x in scores.items()}
    slow = {i: x + rng.normal(0, 0.1, x.shape).astype(np.float32) for i, x in slow.items()}
    frames_TVB, lengths = viterbi._padded(list(slow.values()))
    searched = LexiconSearch(tree, weights, batch_size=len(slow)).run(frames_TVB)
    found = trace_back(tree, weights, searched, frames_TVB, lengths, frames_back=2)
    for alignment, score_TV in zip(found, slow.values(), strict=True):
        phones_T, starts, score = search(viterbi, tree, score_TV)
        np.testing.assert_array_equal(alignment.frame_phones_T, phones_T)
        np.testing.assert_array_equal(alignment.starts, starts)
        assert alignment.score == score


def test_a_device_finds_the_same_and_is_read_once_a_batch():
    viterbi, tree, scores = random_problem(1)
    expected = viterbi.decode(tree, scores)
    reads = []
    with pretend_device() as pretend, compute.using(pretend.device):
        for repeated in (1, 3):
            pretend.clear()
            longer = {i: np.tile(x, (repeated, 1)) for i, x in scores.items()}
            found = viterbi.decode(tree, longer)
            reads.append(sum(pretend.host_reads.values()))
            if repeated == 1:
                for i, alignment in expected.items():
                    np.testing.assert_array_equal(found[i].frame_phones_T, alignment.frame_phones_T)
                    assert found[i].score == alignment.score
    assert reads[0] == reads[1] <= 3


@pytest.mark.parametrize("shape", [(0, 3), (5, 2)])
def test_scores_of_nothing_and_of_other_phones_are_named(shape):
    viterbi = LexiconViterbi()
    tree = viterbi.tree(SENTENCES, 3)
    with pytest.raises(ValueError, match=r"'u1'.*expected one frame or more of 3 phones"):
        viterbi.decode(tree, {"u0": np.zeros((4, 3)), "u1": np.zeros(shape)})


def test_progress_is_told_once_an_utterance():
    viterbi, tree, scores = random_problem(0)
    ticks = []
    viterbi.decode(tree, scores, progress=lambda: ticks.append(1))
    assert len(ticks) == len(scores)
