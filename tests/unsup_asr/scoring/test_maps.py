"""Floor and ceilings of a table, on segments whose overlaps are known."""

import numpy as np
import pytest

from unsup_asr.scoring.maps import majority_map, random_map, seconds_of_phones, written
from unsup_asr.types import Transcript

SAID = Transcript("u", ("a", "b", "a"), (0.1, 0.3, 0.9), (0.3, 0.7, 1.0))


def test_a_segment_overlaps_phones_for_so_many_seconds() -> None:
    spans = (0.0, 0.25, 0.7, 0.8), (0.25, 0.7, 0.8, 1.2)
    found = seconds_of_phones(spans, SAID)
    assert [list(overlap) for overlap in found] == [["a"], ["a", "b"], [], ["a"]]
    assert found[1] == pytest.approx({"a": 0.05, "b": 0.4})  # one phone may reach into two
    assert found[0]["a"] == pytest.approx(0.15)
    assert found[3]["a"] == pytest.approx(0.1)


def test_a_cluster_goes_to_the_phone_of_the_most_seconds_not_of_the_most_segments() -> None:
    clusters = {"u": np.array([7, 7, 7, 2], np.int32), "v": np.array([2, 5], np.int32)}
    heard = {
        "u": [{"a": 0.1}, {"a": 0.1}, {"b": 0.3}, {"b": 0.1}],
        "v": [{"b": 0.1, "a": 0.1, "c": 0.3}, {}],
    }
    assert majority_map(clusters, heard) == {7: "b", 2: "c"}  # nothing is heard in 5


def test_equal_neighbours_are_written_once_and_nothing_of_no_phone() -> None:
    assert written(["a", "a", None, "a", "b", "a"]) == ("a", "b", "a")


def test_a_random_map_writes_phones_about_as_often_as_the_text() -> None:
    rng = np.random.default_rng(0)
    clusters = {f"u{i}": rng.integers(0, 300, 400).astype(np.int32) for i in range(20)}
    frequencies = {"a": 0.6, "b": 0.3, "c": 0.1}
    maps = [random_map(clusters, frequencies, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert maps[0] == maps[1] != maps[2]
    ids = np.concatenate(list(clusters.values()))
    for found in maps:
        phones = [found[i] for i in ids.tolist()]
        for phone, share in frequencies.items():
            assert phones.count(phone) / len(phones) == pytest.approx(share, abs=0.01)
