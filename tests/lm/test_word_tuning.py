import math
from collections import Counter

import numpy as np
import pytest

from lm.lexicon import Lexicon
from lm.ngram import NgramEstimator
from lm.word_tuning import LabelFreeWordTuning
from lm.words import WordDecoder

PHONES = ["k", "a", "t", "s"]
WORDS = {"cat": "k a t", "cats": "k a t s", "sat": "s a t", "ta": "t a", "at": "a t"}
SENTENCES = [["cat", "sat"], ["cats", "sat", "at", "ta"], ["ta", "cat"], ["sat", "at"]] * 3


@pytest.fixture
def decoder(tmp_path) -> WordDecoder:
    NgramEstimator(order=2).estimate_to(tmp_path / "words.arpa", SENTENCES)
    counts = {word: Counter({tuple(spelt.split()): 1}) for word, spelt in WORDS.items()}
    Lexicon.from_counts(counts).write(tmp_path / "lexicon.tsv")
    return WordDecoder(
        lm_path=str(tmp_path / "words.arpa"), lexicon_path=str(tmp_path / "lexicon.tsv"), beam=50
    )


@pytest.fixture
def posteriors() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(12):
        said = [p for word in SENTENCES[rng.integers(4)] for p in WORDS[word].split()]
        rows = rng.dirichlet(np.full(4, 0.5), size=len(said)) * 0.6
        rows[np.arange(len(said)), [PHONES.index(p) for p in said]] += 0.4
        found.append(np.log(rows).astype(np.float32))
    return found


def test_the_criterion_is_language_times_distance_times_length(decoder, posteriors):
    tuning = LabelFreeWordTuning(lm_weights=[0.2, 2.0], word_scores=[-2.0, 2.0])
    found = tuning.candidates(decoder, posteriors, PHONES, phones_a_word=2.6)
    assert len(found) == 4
    assert [c.criterion for c in found] == sorted(c.criterion for c in found)
    for c in found:
        said = sum(len(WORDS[word].split()) for words in c.sentences for word in words)
        ratio = said / sum(map(len, c.sentences)) / 2.6
        assert c.phones_a_word == pytest.approx(ratio)
        factor = 1 + 2 * abs(math.log(ratio))
        assert c.criterion == pytest.approx(math.log(c.perplexity) * c.distance * factor)
        decoded = decoder.reweighted(c.lm_weight, c.word_score).decode_batch(posteriors, PHONES)
        assert [tuple(w.word for w in best.words) for (best,) in decoded] == list(c.sentences)
    shortest = max(found, key=lambda c: c.word_score - c.lm_weight)
    assert shortest.phones_a_word == min(c.phones_a_word for c in found)


def test_other_weights_share_what_is_loaded_and_decode_as_a_decoder_of_their_own(
    decoder, posteriors
):
    decoder.decode_batch(posteriors, PHONES)
    other = decoder.reweighted(2.0, -1.0)
    assert other._loaded[1]._space.tree is decoder._loaded[1]._space.tree
    alone = WordDecoder(
        lm_path=decoder.lm_path,
        lexicon_path=decoder.lexicon_path,
        beam=50,
        lm_weight=2.0,
        word_score=-1.0,
    )
    expected = alone.decode_batch(posteriors, PHONES)
    assert other.decode_batch(posteriors, PHONES) == expected
    assert decoder.decode_batch(posteriors, PHONES) != expected


def test_a_system_that_hears_nothing_has_the_worst_criterion(decoder, caplog):
    decoder.blank = "-"
    silent = np.log(np.array([[0.01, 0.01, 0.01, 0.01, 0.96]] * 3, dtype=np.float32))
    tuning = LabelFreeWordTuning(lm_weights=[1.0], word_scores=[0.0, -1.0])
    found = tuning.candidates(decoder, [silent], [*PHONES, "-"], phones_a_word=2.0)
    assert [(c.word_score, c.criterion) for c in found] == [(0.0, 1e9), (-1.0, 1e9)]
    assert found[0].sentences == ((),)
    assert "unconstrained output is empty" in caplog.text


def test_impossible_options_are_refused(decoder):
    with pytest.raises(ValueError, match="empty grid"):
        LabelFreeWordTuning(word_scores=[])
    with pytest.raises(ValueError, match="num_utterances is 0"):
        LabelFreeWordTuning(num_utterances=0)
