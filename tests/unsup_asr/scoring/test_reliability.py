"""How often phones are right, by how sure the system is of them."""

from __future__ import annotations

import numpy as np
import pytest

from unsup_asr.scoring.reliability import Reliability, reliability
from unsup_asr.types import Hypothesis, Transcript


def test_phones_are_right_where_the_alignment_pairs_them_with_their_like() -> None:
    references = [Transcript("u", ("a", "b", "c")), Transcript("v", ("a",)), Transcript("w", ())]
    hypotheses = [
        Hypothesis("u", ("x", "b", "c", "d"), confidences=(0.11, 0.95, 0.97, 0.15)),
        Hypothesis("v", ("a",), confidences=(1.0,)),
        Hypothesis("w", ("b",), confidences=(0.0,)),
    ]
    found = reliability(references, hypotheses)
    assert found is not None
    assert found.counts == (1, 2, 3)
    np.testing.assert_allclose(found.confidences, (0.0, 0.13, 2.92 / 3))
    np.testing.assert_allclose(found.shares_right, (0.0, 0.0, 1.0))
    assert found.expected_error == pytest.approx((0.26 + 0.08) / 6)


def test_confidences_that_are_shares_are_no_distance_apart() -> None:
    rng = np.random.default_rng(0)
    confidences = rng.random(20_000)
    are_right = rng.random(20_000) < confidences
    reference = Transcript("u", tuple("a" * 20_000))
    phones = tuple("a" if is_right else "b" for is_right in are_right)
    found = reliability([reference], [Hypothesis("u", phones, confidences=tuple(confidences))])
    assert found is not None
    assert len(found.counts) == 10
    assert found.expected_error < 0.02
    too_sure = tuple(np.sqrt(confidences))
    sure = reliability([reference], [Hypothesis("u", phones, confidences=too_sure)])
    assert sure is not None
    assert sure.expected_error > 0.1


def test_without_confidences_there_is_none() -> None:
    assert reliability([Transcript("u", ("a",))], [Hypothesis("u", ("a",))]) is None
    with pytest.raises(ValueError, match="1 counts, 1 confidences and 0 shares"):
        Reliability((1,), (0.5,), ())
