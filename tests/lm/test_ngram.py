"""The estimate against lmplz's own output (in data/) and against the formulas, word by word."""

import logging
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from lm.arpa import read_arpa, write_arpa
from lm.ngram import NgramEstimator
from lm.ngram_counts import DENSE_KEYS, count_ngrams, encode_sentences
from lm.score import KenlmModel

DATA = Path(__file__).parent / "data"


def sentences(name: str) -> list[list[str]]:
    return [line.split() for line in (DATA / name).read_text("utf-8").splitlines()]


@pytest.mark.parametrize(
    ("text", "reference", "options"),
    [
        ("cats.txt", "cats_order3.arpa", {"order": 3}),
        ("cats.txt", "cats_order4_pruned.arpa", {"order": 4, "prune": [0, 0, 1]}),
        ("letters.txt", "letters_order3.arpa", {"order": 3}),
    ],
)
def test_every_probability_and_backoff_equals_lmplz(text, reference, options):
    ours = NgramEstimator(**options).estimate(sentences(text))
    lmplz = read_arpa(DATA / reference)
    for order in range(1, options["order"] + 1):
        expected = lmplz.table(order)
        found = ours.table(order)
        assert found.keys() == expected.keys()
        for ngram, values in expected.items():
            assert found[ngram] == pytest.approx(values, abs=2e-6), ngram


def slow_probability(word: str, context: tuple[str, ...], corpus, discounts, order: int) -> float:
    """Interpolated modified Kneser-Ney straight from the definition (Chen and Goodman 1998)."""
    if order == 0:
        return 1.0 / (len({w for s in corpus for w in s}) + 2)  # words, </s>, <unk>
    counts: Counter[tuple[str, ...]] = Counter()
    is_highest = order == discounts["highest"]
    left: dict[tuple[str, ...], set[str]] = {}
    for sentence in corpus:
        padded = ["<s>", *sentence, "</s>"]
        for end in range(1, len(padded)):
            start = end - order + 1
            if start < 0:
                continue
            ngram = tuple(padded[start : end + 1])
            if is_highest or ngram[0] == "<s>":
                counts[ngram] += 1
            else:
                left.setdefault(ngram, set()).add(padded[start - 1])
    counts.update({ngram: len(words) for ngram, words in left.items()})
    following = {n[-1]: c for n, c in counts.items() if n[:-1] == context}
    lower = slow_probability(word, context[1:], corpus, discounts, order - 1)
    if not following:
        return lower
    discount = {c: discounts["values"][min(c, 3)] for c in following.values()}
    total = sum(following.values())
    freed = sum(discount[c] for c in following.values()) / total
    count = following.get(word, 0)
    return max(count - discount.get(count, 0), 0) / total + freed * lower


def test_small_text_follows_the_definition(caplog):
    corpus = [["a", "b", "a"], ["b", "a", "b", "a", "b"], []]
    with caplog.at_level(logging.INFO, logger="lm.ngram"):
        model = NgramEstimator(order=3, discount_fallback=[0.4, 0.9, 1.3]).estimate(corpus)
    assert len(caplog.records) == 3, "the discounts of some order are not the fallback"
    discounts = {"highest": 3, "values": [0.0, 0.4, 0.9, 1.3]}
    for order in (1, 2, 3):
        for ngram, (log10_probability, _) in model.table(order).items():
            if ngram[-1] in ("<s>", "<unk>"):
                continue
            slow = slow_probability(ngram[-1], ngram[:-1], corpus, discounts, order)
            assert 10**log10_probability == pytest.approx(slow, rel=1e-6), ngram


def test_probabilities_after_every_context_sum_to_one(tmp_path):
    text = sentences("letters.txt")
    NgramEstimator(order=3, prune=[0, 1]).estimate_to(tmp_path / "lm.arpa", text)
    model = KenlmModel(tmp_path / "lm.arpa", "digest")
    words = [*sorted({w for s in text for w in s}), "</s>", "<unk>"]
    for context in ([], ["a"], ["a", "e"], ["z", "z"]):
        before = model.log10_score(context, eos=False)
        after = [model.log10_score([*context, word], eos=False) - before for word in words[:-2]]
        after.append(model.log10_score(context) - before)
        after.append(model.log10_score([*context, "never-seen"], eos=False) - before)
        assert sum(10**score for score in after) == pytest.approx(1.0, abs=1e-4)


def test_sorting_and_tables_count_alike(monkeypatch):
    stream = encode_sentences(sentences("letters.txt"))
    assert len(stream.vocabulary) ** 2 < DENSE_KEYS
    by_table = count_ngrams(stream, 4)
    monkeypatch.setattr("lm.ngram_counts.DENSE_KEYS", 0)
    by_sort = count_ngrams(stream, 4)
    for one, other in zip(by_table, by_sort, strict=True):
        for name in ("prefix", "word", "suffix", "count", "begins_sentence"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_an_arpa_file_is_reproducible_and_survives_reading(tmp_path):
    model = NgramEstimator(order=4).estimate(sentences("cats.txt"))
    write_arpa(tmp_path / "a.arpa", model)
    NgramEstimator(order=4).estimate_to(tmp_path / "b.arpa", sentences("cats.txt"))
    assert (tmp_path / "a.arpa").read_bytes() == (tmp_path / "b.arpa").read_bytes()
    again = read_arpa(tmp_path / "a.arpa")
    for order in range(1, 5):
        expected = model.table(order)
        for ngram, values in again.table(order).items():
            assert values == pytest.approx(expected[ngram], rel=1e-6, abs=1e-6)


def test_orders_longer_than_every_sentence_are_empty_and_readable(tmp_path):
    NgramEstimator(order=6).estimate_to(tmp_path / "lm.arpa", [["a"], ["a", "b"]])
    assert "ngram 6=0" in (tmp_path / "lm.arpa").read_text()
    assert KenlmModel(tmp_path / "lm.arpa", "digest").log10_score(["a", "b"]) < 0


def test_a_text_that_ends_in_a_unicode_space_is_one_word():
    model = NgramEstimator(order=1).estimate([["a\u00a0b"]])
    assert ("a\u00a0b",) in model.table(1)


@pytest.mark.parametrize("word", ["<s>", "</s>", "<unk>"])
def test_words_that_the_model_adds_itself_are_refused(word):
    with pytest.raises(ValueError, match=f"the text has 1 words '{word}'"):
        NgramEstimator().estimate([["a", word, "b"]])


def test_no_sentences_is_an_error():
    with pytest.raises(ValueError, match="no sentences to estimate"):
        NgramEstimator().estimate([])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": 7}, "n-gram order is 7; expected 1 to 6"),
        ({"order": 2, "prune": [0, 0, 1]}, "prune has 3 thresholds for order 2"),
        ({"prune": [1, 0]}, r"prune is \[1, 0\]; expected values that never decrease"),
        ({"discount_fallback": [0.5, 3.0, 1.0]}, "discount_fallback is"),
    ],
)
def test_impossible_options_are_errors(options, message):
    with pytest.raises(ValueError, match=message):
        NgramEstimator(**options)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("junk", r"bad\.arpa: not a whole ARPA file"),
        ("\\data\\\nngram 1=1\n\n\\1-grams:\n-1\ta\n", r"bad\.arpa: not a whole ARPA file"),
        ("\\data\\\n\n\\1-grams:\n-1\ta b\n\\end\\\n", r"bad\.arpa:4: '-1\\ta b'; expected"),
        ("\\data\\\n\n\\2-grams:\n-1\ta b\n\\end\\\n", r"bad\.arpa:3: .*expected \\1-grams"),
        ("\\data\\\n\n\\1-grams:\nnan\ta\n\\end\\\n", r"bad\.arpa:4: .*expected finite numbers"),
        ("\\data\\\n\n\\1-grams:\n-1\ta\n\\end\\\n", r"bad\.arpa: no <s> among the 1-grams"),
        ("\\data\\\n\n\\1-grams:\nx\ta\n\\end\\\n", r"bad\.arpa:4: could not convert"),
    ],
)
def test_a_damaged_file_is_named_with_its_line(tmp_path, content, message):
    (tmp_path / "bad.arpa").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_arpa(tmp_path / "bad.arpa")


def test_options_are_a_structured_config():
    assert OmegaConf.structured(NgramEstimator).order == 4
    assert math.isclose(OmegaConf.structured(NgramEstimator).discount_fallback[2], 1.5)
