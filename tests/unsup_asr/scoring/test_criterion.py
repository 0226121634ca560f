"""The criterion with what is missing: perplexity alone prefers what leaves out."""

from __future__ import annotations

import math

import pytest

from unsup_asr.scoring.criterion import weighted_perplexity, with_what_is_missing


def test_a_whole_transcript_has_its_own_perplexity() -> None:
    whole = with_what_is_missing(20.0, mean_length=30.0, wanted=30.0, num_phones=40)
    assert whole == pytest.approx(20.0)


def test_what_leaves_out_a_third_loses_to_what_writes_all_though_it_reads_better() -> None:
    whole = with_what_is_missing(12.0, mean_length=30.0, wanted=30.0, num_phones=40)
    third = with_what_is_missing(9.0, mean_length=20.0, wanted=30.0, num_phones=40)
    assert third == pytest.approx(math.exp((20 * math.log(9) + 10 * math.log(40)) / 30))
    assert whole < third


def test_phones_too_many_cost_what_they_cost() -> None:
    whole = with_what_is_missing(12.0, mean_length=30.0, wanted=30.0, num_phones=40)
    more = with_what_is_missing(12.0, mean_length=33.0, wanted=30.0, num_phones=40)
    assert more == pytest.approx(12.0 ** (33 / 30))
    assert more > whole


def test_nothing_at_all_is_infinite() -> None:
    nothing = weighted_perplexity(float("inf"), [], num_phones=40)
    assert with_what_is_missing(nothing, mean_length=0.0, wanted=30.0, num_phones=40) == float(
        "inf"
    )
