import pytest

from unsup_asr.steps.final import divergences

TEXT = [["a", "b", "a", "b", "c"]]


def test_a_run_that_writes_next_to_nothing_is_still_reported() -> None:
    assert list(divergences(TEXT, [["a", "b"], []])) == [1, 2]
    assert divergences(TEXT, [[], []]) == {}


def test_equal_sequences_do_not_diverge() -> None:
    assert divergences(TEXT, TEXT) == pytest.approx({1: 0.0, 2: 0.0, 3: 0.0, 4: 0.0})
