import numpy as np
import pytest

from lm.greedy import decode_greedy_ctc, decode_greedy_runs

PHONES = ["a", "b", "-"]


def posteriors(symbols: str, probability: float = 0.8) -> np.ndarray:
    scores = np.full((len(symbols), 3), (1 - probability) / 2)
    scores[np.arange(len(symbols)), [PHONES.index(s) for s in symbols]] = probability
    return np.log(scores)


def test_runs_are_merged_with_their_frames():
    decoded = decode_greedy_runs(posteriors("aabbba"), PHONES)
    assert decoded.phones == ("a", "b", "a")
    assert decoded.start_frames == (0, 2, 5)
    assert decoded.end_frames == (2, 5, 6)
    assert decoded.confidences == pytest.approx((0.8, 0.8, 0.8))


def test_blanks_part_equal_phones_and_vanish():
    decoded = decode_greedy_ctc(posteriors("-aa-a--b-"), PHONES, blank="-")
    assert decoded.phones == ("a", "a", "b")
    assert decoded.start_frames == (1, 4, 7)
    assert decoded.end_frames == (3, 5, 8)


def test_all_blank_is_an_empty_sequence():
    assert decode_greedy_ctc(posteriors("---"), PHONES, blank="-").phones == ()


def test_bad_posteriors_are_errors():
    with pytest.raises(ValueError, match=r"shape \(2, 2\); expected \(frames, 3\)"):
        decode_greedy_runs(np.zeros((2, 2)), PHONES)
    with pytest.raises(ValueError, match="hold NaN"):
        decode_greedy_runs(np.full((2, 3), np.nan), PHONES)
    with pytest.raises(ValueError, match="blank '_' is not among the phones"):
        decode_greedy_ctc(posteriors("a"), PHONES, blank="_")
