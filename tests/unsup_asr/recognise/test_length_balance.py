"""The score at which transcripts are as long as the text says."""

from __future__ import annotations

import numpy as np
import pytest

from unsup_asr.recognise.length_balance import LengthBalance, mean_length


def _length(score: float) -> float:
    """Grows with the score, as a decoder's does."""
    return 40.0 / (1.0 + np.exp(-0.5 * score))


@pytest.mark.parametrize("wanted", [12.0, 20.0, 31.0])
def test_the_score_gives_the_length_that_is_wanted(wanted: float) -> None:
    balance = LengthBalance(option="insertion_score", tolerance=0.02)
    assert _length(balance.score(_length, wanted)) == pytest.approx(wanted, rel=0.02)
    halved = LengthBalance(option="insertion_score", tolerance=0.02, share=0.5, lowest=-9)
    assert _length(halved.score(_length, wanted)) == pytest.approx(wanted / 2, rel=0.02)


def test_a_length_out_of_reach_gives_the_nearest_end() -> None:
    balance = LengthBalance(option="phone_score", lowest=-1.0, highest=3.0)
    assert balance.score(_length, 1000.0) == pytest.approx(3.0, abs=0.05)
    assert balance.score(_length, 1.0) == pytest.approx(-1.0, abs=0.05)
    assert balance.options(2.5) == {"phone_score": 2.5}


def test_a_sample_is_spread_over_all_utterances() -> None:
    balance = LengthBalance(option="phone_score", num_utterances=4)
    assert list(balance.sample({str(i): i for i in range(9)})) == ["0", "2", "4", "6"]
    assert balance.sample({"a": 1, "b": 2}) == {"a": 1, "b": 2}


def test_mean_length_of_nothing_is_zero() -> None:
    assert mean_length([]) == 0.0
    assert mean_length([[1, 2], [3]]) == 1.5


def test_an_empty_range_is_refused() -> None:
    with pytest.raises(ValueError, match="expected lowest < highest"):
        LengthBalance(option="phone_score", lowest=2.0, highest=2.0)
