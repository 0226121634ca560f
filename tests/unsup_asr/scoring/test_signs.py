"""Signs of an output against the text."""

import json
import math

import numpy as np
import pytest

from unsup_asr.scoring.signs import (
    Signs,
    divergences,
    share_of_equal_neighbours,
    signs_of,
    signs_of_text,
)

STEPS = np.random.default_rng(0).choice([1, 2], p=[0.8, 0.2], size=(200, 12))
TEXT = [tuple("abcd"[i] for i in walk) for walk in STEPS.cumsum(1) % 4]


def test_rates_are_those_of_the_output_and_of_the_text_said_in_an_utterances_time() -> None:
    output = [("a", "b", "c"), ("a",)]
    found = signs_of(output, TEXT, seconds=[0.5, 1.5], perplexity=9.0, final=output)
    of_text = signs_of_text(TEXT, seconds=[0.5, 1.5], perplexity=2.0)
    assert (found.phones_per_utterance, found.phones_per_second) == (2.0, 2.0)
    assert (of_text.phones_per_utterance, of_text.phones_per_second) == (12.0, 12.0)
    assert of_text.edits_from_final is None


def test_the_text_diverges_from_itself_as_much_as_so_few_sentences_do() -> None:
    few = signs_of_text(TEXT, seconds=[1.0] * 10, perplexity=2.0).js_divergence
    many = signs_of_text(TEXT, seconds=[1.0] * 100, perplexity=2.0).js_divergence
    assert 0 < many[3] < few[3] < 0.1
    shuffled = [tuple(np.random.default_rng(1).permutation(s)) for s in TEXT]
    output = signs_of(shuffled, TEXT, seconds=[1.0], perplexity=2.0, final=shuffled)
    assert output.js_divergence[1] == pytest.approx(0)
    assert output.js_divergence[2] > 10 * many[2]


def test_neighbours_are_those_of_named_segments_where_there_are_any() -> None:
    output, segments = [("a", "b", "b")], [[0, 0, 0, 1, 1]]
    found = signs_of(output, TEXT, seconds=[1.0], perplexity=1.0, final=output)
    named = signs_of(
        output, TEXT, seconds=[1.0], perplexity=1.0, final=output, named_segments=segments
    )
    assert (found.equal_neighbours, named.equal_neighbours) == (0.5, 0.75)
    assert share_of_equal_neighbours([["a"], []]) == 0


def test_edits_from_the_final_output_are_in_percent_of_it() -> None:
    found = signs_of(
        [("a", "b"), ("c",)], TEXT, seconds=[1.0], perplexity=1.0, final=[("a",), ("c", "d", "e")]
    )
    assert found.edits_from_final == pytest.approx(75.0)


def test_signs_come_back_equal_and_are_strict_json() -> None:
    output = [("a",)]
    found = signs_of(output, TEXT, seconds=[1.0], perplexity=math.inf, final=output)
    text = json.dumps(found.to_json(), allow_nan=False)
    assert Signs.from_json(json.loads(text)) == found


def test_a_run_that_writes_next_to_nothing_is_still_measured() -> None:
    text = [["a", "b", "a", "b", "c"]]
    assert list(divergences(text, [["a", "b"], []], orders=(1, 2, 3, 4))) == [1, 2]
    assert divergences(text, [[], []], orders=(1, 2)) == {}
    equal = divergences(text, text, orders=(1, 2, 3, 4))
    assert equal == pytest.approx({1: 0.0, 2: 0.0, 3: 0.0, 4: 0.0})
