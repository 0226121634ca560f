import math

import pytest

from lm.ngram import NgramEstimator
from lm.score import load

TEXT = [["a", "b", "a"], ["b", "a"], ["a", "b"]]


@pytest.fixture
def path(tmp_path):
    NgramEstimator(order=2).estimate_to(tmp_path / "lm.arpa", TEXT)
    return tmp_path / "lm.arpa"


def test_a_sentence_scores_the_sum_of_its_ngrams(path):
    model = load(path)
    table = NgramEstimator(order=2).estimate(TEXT).table(2)
    expected = table["<s>", "a"][0] + table["a", "b"][0] + table["b", "</s>"][0]
    assert model.log10_score(["a", "b"]) == pytest.approx(expected, abs=1e-5)
    without_end = expected - table["b", "</s>"][0]
    assert model.log10_score(["a", "b"], eos=False) == pytest.approx(without_end, abs=1e-5)
    assert model.log10_score(["a", "b"], bos=False) != pytest.approx(expected, abs=1e-3)


def test_perplexity_says_what_it_counts(path):
    model = load(path)
    with_end = sum(model.log10_score(s) for s in TEXT)
    without = sum(model.log10_score(s, eos=False) for s in TEXT)
    assert model.perplexity(TEXT, with_eos=True) == pytest.approx(10 ** (-with_end / 10))
    assert model.perplexity(TEXT, with_eos=False) == pytest.approx(10 ** (-without / 7))


def test_unknown_words_are_counted(path):
    score = load(path).score_corpus([["a", "z"], ["y"]])
    assert (score.num_sentences, score.num_words, score.num_unknown) == (2, 3, 2)
    assert math.isfinite(score.perplexity_with_eos)
    assert load(path).knows("a")
    assert not load(path).knows("z")


def test_the_same_bytes_are_loaded_once_and_changed_bytes_again(path):
    first = load(path)
    assert load(path) is first
    NgramEstimator(order=3).estimate_to(path, TEXT)
    assert load(path) is not first
    assert load(path).order == 3


def test_missing_and_foreign_files_are_errors(tmp_path):
    with pytest.raises(ValueError, match=r"none\.arpa: no such language model"):
        load(tmp_path / "none.arpa")
    (tmp_path / "bad.arpa").write_text("junk")
    with pytest.raises(ValueError, match=r"bad\.arpa: kenlm cannot read it"):
        load(tmp_path / "bad.arpa")


def test_perplexity_of_nothing_is_an_error(path):
    with pytest.raises(ValueError, match="no sentences to score"):
        load(path).perplexity([], with_eos=True)
    with pytest.raises(ValueError, match="needs at least one word"):
        load(path).perplexity([[]], with_eos=False)
