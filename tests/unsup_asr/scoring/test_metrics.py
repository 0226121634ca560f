import math

import numpy as np
import pytest

from unsup_asr.scoring.boundaries import BoundaryScores, boundary_scores, phone_boundaries
from unsup_asr.scoring.metrics import (
    NOTHING,
    align,
    bootstrap_interval,
    confusions,
    count_errors,
    ngram_js_divergence,
    per_utterance,
    reference_digest,
    score,
)
from unsup_asr.types import ErrorCounts, Hypothesis, Transcript


def references(**phones: str) -> list[Transcript]:
    return [Transcript(i, tuple(p.split())) for i, p in phones.items()]


def hypotheses(**phones: str) -> list[Hypothesis]:
    return [Hypothesis(i, tuple(p.split())) for i, p in phones.items()]


def test_errors_equal_a_count_by_hand():
    assert count_errors(["k", "æ", "t", "s"], ["k", "ʌ", "t"]) == ErrorCounts(0, 1, 1, 4)
    assert count_errors(["k", "æ", "t"], ["s", "k", "æ", "t", "ə"]) == ErrorCounts(2, 0, 0, 3)
    assert count_errors((), ["a", "b"]) == ErrorCounts(2, 0, 0, 0)


def test_phones_of_several_letters_are_one_symbol():
    assert count_errors(["tʃ", "aɪ"], ["t", "aɪ"]) == ErrorCounts(0, 0, 1, 2)


def test_score_sums_utterances_before_it_divides():
    refs = references(u1="a b c d", u2="a")
    hyps = hypotheses(u1="a b c d", u2="b")
    assert score(refs, hyps) == ErrorCounts(0, 0, 1, 5)
    assert score(refs, hyps).rate == pytest.approx(20.0)  # not (0 + 100) / 2


def test_per_does_not_depend_on_utterance_order():
    refs = references(u1="a b c", u2="d e", u3="f")
    hyps = hypotheses(u1="a b", u2="d e e", u3="g")
    assert score(refs, hyps) == score(refs[::-1], [hyps[1], hyps[2], hyps[0]])
    assert list(per_utterance(refs[::-1], hyps)) == ["u3", "u2", "u1"]


def test_reference_without_hypothesis_is_named():
    with pytest.raises(
        ValueError, match=r"hyp\.tsv: 2 of 3 utterances have no hypothesis \(first: 'u2'\)"
    ):
        score(
            references(u1="a", u2="b", u3="c"),
            hypotheses(u1="a"),
            hypothesis_source="hyp.tsv",
        )


def test_hypothesis_without_reference_is_named():
    with pytest.raises(
        ValueError, match=r"ref\.tsv: 1 of 2 hypotheses have no reference \(first: 'u9'\)"
    ):
        score(references(u1="a"), hypotheses(u1="a", u9="b"), reference_source="ref.tsv")


def test_repeated_id_is_named():
    twice = references(u1="a") + references(u1="b")
    with pytest.raises(ValueError, match=r"references: 1 utterance ids appear more than once"):
        score(twice, hypotheses(u1="a"))


def test_no_utterance_is_an_error_not_a_rate():
    with pytest.raises(ValueError, match="references: no utterance"):
        score([], [])


def test_alignment_holds_every_phone_once():
    reference, hypothesis = ["a", "b", "c", "d"], ["x", "a", "c", "c", "d", "e"]
    pairs = align(reference, hypothesis)
    assert [left for left, _ in pairs if left] == reference
    assert [right for _, right in pairs if right] == hypothesis
    assert sum(left != right for left, right in pairs) == edit_distance_by_table(
        reference, hypothesis
    )


def edit_distance_by_table(a: list[str], b: list[str]) -> int:
    table = np.zeros((len(a) + 1, len(b) + 1), dtype=int)
    table[:, 0], table[0, :] = range(len(a) + 1), range(len(b) + 1)
    for i, left in enumerate(a):
        for j, right in enumerate(b):
            table[i + 1, j + 1] = min(
                table[i, j] + (left != right), table[i, j + 1] + 1, table[i + 1, j] + 1
            )
    return table[-1, -1]


def test_counts_agree_with_the_textbook_table_on_random_sequences():
    rng = np.random.default_rng(0)
    for _ in range(50):
        a, b = (list(rng.choice(list("abcd"), size=rng.integers(1, 12))) for _ in range(2))
        counts = count_errors(a, b)
        errors = counts.insertions + counts.deletions + counts.substitutions
        assert errors == edit_distance_by_table(a, b)
        assert counts.insertions - counts.deletions == len(b) - len(a)


def test_bootstrap_interval_is_near_the_binomial_one():
    rng = np.random.default_rng(1)
    counts = [ErrorCounts(0, 0, int(wrong), 1) for wrong in rng.random(2000) < 0.3]
    low, high = bootstrap_interval(counts, seed=0)
    rate = 100 * np.mean([c.substitutions for c in counts])
    half_width = 100 * 1.96 * math.sqrt(0.3 * 0.7 / 2000)
    assert low == pytest.approx(rate - half_width, abs=0.3)
    assert high == pytest.approx(rate + half_width, abs=0.3)


def test_bootstrap_interval_repeats_with_its_seed_and_has_no_width_without_spread():
    counts = [ErrorCounts(1, 0, i % 7, 20 + i) for i in range(40)]
    assert bootstrap_interval(counts, seed=3) == bootstrap_interval(counts, seed=3)
    assert bootstrap_interval([ErrorCounts(1, 0, 0, 4)] * 5, seed=0) == (25.0, 25.0)


def test_bootstrap_rejects_empty_references_and_impossible_levels():
    with pytest.raises(ValueError, match="without a single reference phone"):
        bootstrap_interval([ErrorCounts(1, 0, 0, 0)], seed=0)
    with pytest.raises(ValueError, match="level is 95"):
        bootstrap_interval([ErrorCounts(1, 0, 0, 4)], seed=0, level=95)


def test_confusions_hold_substitutions_insertions_and_deletions():
    matrix = confusions(references(u1="a b", u2="a c e"), hypotheses(u1="a d", u2="b a c"))
    assert matrix.labels == ("a", "b", "c", "d", "e", NOTHING)
    cells = {
        (matrix.labels[i], matrix.labels[j]): int(matrix.counts_RH[i, j])
        for i, j in zip(*np.nonzero(matrix.counts_RH), strict=True)
    }
    assert cells == {
        ("a", "a"): 2,
        ("b", "d"): 1,
        (NOTHING, "b"): 1,
        ("c", "c"): 1,
        ("e", NOTHING): 1,
    }


def test_js_divergence_equals_values_by_hand():
    same = [["a", "b"], ["c"]]
    assert ngram_js_divergence(same, same[::-1], 1) == 0.0
    assert ngram_js_divergence([["a"]], [["b"]], 1) == pytest.approx(1.0)
    # P = (1, 0), Q = (1/2, 1/2), M = (3/4, 1/4)
    expected = 0.5 * math.log2(4 / 3) + 0.5 * (0.5 * math.log2(2 / 3) + 0.5 * math.log2(2))
    assert ngram_js_divergence([["a"]], [["a", "b"]], 1) == pytest.approx(expected)


def test_ngrams_do_not_cross_utterances():
    joined = [["a", "b", "c"]]
    cut = [["a", "b"], ["c"]]
    # bigrams ab, bc against ab alone: P = (1/2, 1/2), Q = (1, 0)
    assert ngram_js_divergence(joined, cut, 2) == pytest.approx(0.311278, abs=1e-6)
    with pytest.raises(ValueError, match="no 3-gram in the second corpus"):
        ngram_js_divergence(joined, cut, 3)


def test_reference_digest_names_the_content_not_the_order():
    refs = references(u1="a b", u2="c")
    assert reference_digest(refs) == reference_digest(refs[::-1])
    assert reference_digest(refs) != reference_digest(references(u1="a b", u2="d"))


def test_boundary_scores_equal_a_count_by_hand():
    # inner reference .10 .20 .30; inner found .11 .26 .29 .40: hits .10-.11, .30-.29
    scores = boundary_scores([([0, 0.1, 0.2, 0.3, 0.5], [0, 0.11, 0.26, 0.29, 0.4, 0.5])])
    assert (scores.num_hits, scores.num_reference, scores.num_found) == (2, 3, 4)
    assert scores.precision == pytest.approx(1 / 2)
    assert scores.recall == pytest.approx(2 / 3)
    assert scores.f1 == pytest.approx(4 / 7)
    to_ideal = math.sqrt((1 / 3) ** 2 + (1 / 3) ** 2)
    to_line = abs(-1 / 3 + 2 / 3 - 1) / math.sqrt(2)
    assert scores.r_value == pytest.approx(1 - (to_ideal + to_line) / 2)


def test_perfect_boundaries_score_one_and_none_found_does_not_divide_by_zero():
    perfect = boundary_scores([([0, 0.1, 0.2, 0.3], [0, 0.1, 0.2, 0.3])])
    assert (perfect.precision, perfect.recall, perfect.f1, perfect.r_value) == (1, 1, 1, 1)
    nothing = boundary_scores([([0, 0.1, 0.3], [0, 0.3])])
    assert (nothing.precision, nothing.recall, nothing.f1) == (0, 0, 0)


def test_r_value_falls_with_boundaries_everywhere_while_f1_holds():
    sparse = BoundaryScores(num_hits=60, num_reference=100, num_found=100, tolerance_s=0.02)
    dense = BoundaryScores(num_hits=100, num_reference=100, num_found=230, tolerance_s=0.02)
    assert dense.f1 > sparse.f1
    assert dense.r_value < sparse.r_value


def test_one_found_boundary_hits_one_reference_only():
    scores = boundary_scores([([0, 0.10, 0.13, 0.5], [0, 0.115, 0.5])])
    assert (scores.num_hits, scores.num_reference, scores.num_found) == (1, 2, 1)


def test_matching_is_the_largest_possible_not_the_nearest_pairs():
    # nearest first would pair .12 with .115 and leave .10 and .138 alone
    scores = boundary_scores([([0, 0.10, 0.12, 0.5], [0, 0.115, 0.138, 0.5])])
    assert scores.num_hits == 2


def test_twenty_milliseconds_apart_is_a_hit_in_floating_point():
    assert 0.32 - 0.30 > 0.02
    assert boundary_scores([([0, 0.30, 0.5], [0, 0.32, 0.5])]).num_hits == 1
    assert boundary_scores([([0, 0.10, 0.5], [0, 0.121, 0.5])]).num_hits == 0


def test_utterance_ends_do_not_count_and_a_late_end_of_either_side_is_no_boundary():
    # the found segments end a frame early
    scores = boundary_scores([([0, 0.2, 1.0], [0, 0.2, 0.985])])
    assert (scores.num_hits, scores.num_reference, scores.num_found) == (1, 1, 1)


def test_boundaries_are_summed_over_utterances():
    pair = ([0, 0.1, 0.3], [0, 0.1, 0.2, 0.3])
    scores = boundary_scores([pair, pair])
    assert (scores.num_hits, scores.num_reference, scores.num_found) == (2, 2, 4)


def test_unsorted_boundaries_and_unaligned_references_are_errors():
    with pytest.raises(ValueError, match="found boundaries of pair 0 are not ascending"):
        boundary_scores([([0, 0.1, 0.3], [0, 0.2, 0.1, 0.3])])
    with pytest.raises(ValueError, match="no reference boundary inside any utterance"):
        boundary_scores([([], [0, 0.1, 0.3])])


def test_phone_edges_that_meet_are_one_boundary():
    assert phone_boundaries((0.0, 0.1, 0.25), (0.1, 0.2, 0.4)) == (0.0, 0.1, 0.2, 0.25, 0.4)
