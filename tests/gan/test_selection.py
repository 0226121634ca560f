import math

import numpy as np
import pytest

from gan.selection import (
    OutputStatistics,
    choose_by_total_over_usage,
    choose_by_two_steps,
    choose_by_weighted_perplexity,
    output_statistics,
    weighted_lm_perplexity,
)


def ids(*phones: int) -> np.ndarray:
    return np.array(phones, dtype=np.int32)


def statistics(total: float, phones: int, distinct: int) -> OutputStatistics:
    return OutputStatistics(total, phones, 10, distinct, 40)


def test_statistics_of_transcripts_give_back_their_perplexity() -> None:
    found = output_statistics([ids(3, 2), ids(3)], 7.5, vocabulary_size=4)
    assert (found.num_phones, found.num_distinct, found.num_utterances) == (3, 2, 2)
    assert found.log10_probability == pytest.approx(-5 * math.log10(7.5))
    assert found.perplexity == pytest.approx(7.5)


def test_an_infinite_perplexity_is_the_worst_of_all() -> None:
    hopeless = output_statistics([ids(3, 2)], math.inf, vocabulary_size=4)
    other = output_statistics([ids(3, 2)], 1e6, vocabulary_size=4)
    for choose in (choose_by_weighted_perplexity, choose_by_two_steps, choose_by_total_over_usage):
        assert choose([hopeless, other]) == 1


def test_weighted_perplexity_divides_by_squared_usage() -> None:
    half_used = statistics(-100.0, 90, 20)
    assert weighted_lm_perplexity(half_used) == pytest.approx(10.0 / 0.25)


def test_an_empty_output_is_never_chosen() -> None:
    empty, poor = OutputStatistics(-5.0, 0, 10, 0, 40), statistics(-900.0, 90, 3)
    assert math.isinf(weighted_lm_perplexity(empty))
    for choose in (choose_by_weighted_perplexity, choose_by_two_steps, choose_by_total_over_usage):
        assert choose([empty, poor]) == 1


def test_weighted_perplexity_prefers_full_use_to_a_likely_loop_of_few_phones() -> None:
    loop, speech = statistics(-70.0, 90, 6), statistics(-110.0, 90, 38)
    assert choose_by_weighted_perplexity([loop, speech]) == 1


def test_two_steps_prefer_the_likelier_total_among_near_equals() -> None:
    long = statistics(-200.0, 190, 40)  # perplexity 10.0
    short = statistics(-104.0, 90, 40)  # perplexity 10.97, total higher
    far = statistics(-90.0, 65, 40)  # perplexity 15.8, beyond the slack of 1.2
    assert choose_by_two_steps([long, short, far]) == 1
    assert choose_by_two_steps([long, short, far], slack=1.0 + 1e-9) == 0


def test_rule_of_reborn_takes_the_highest_total_over_usage() -> None:
    assert choose_by_total_over_usage([statistics(-100.0, 90, 20), statistics(-120.0, 90, 40)]) == 1


def test_nothing_to_choose_from_is_refused() -> None:
    for choose in (choose_by_weighted_perplexity, choose_by_two_steps, choose_by_total_over_usage):
        with pytest.raises(ValueError, match="no candidates"):
            choose([])
    with pytest.raises(ValueError, match="no transcripts"):
        output_statistics([], 5.0, vocabulary_size=4)
