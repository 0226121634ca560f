import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from lm.arpa import read_arpa
from lm.beam import BeamDecoder
from lm.greedy import decode_greedy_runs
from lm.ngram import NgramEstimator
from lm.ngram_table import build_ngram_table
from lm.score import load

PHONES = ["a", "b", "c"]
TEXT = ["a b c", "b c", "a b a b", "c a", "b", "a b c b c"]
LN10 = math.log(10.0)


@pytest.fixture
def lm_path(tmp_path) -> str:
    path = tmp_path / "lm.arpa"
    NgramEstimator(order=3).estimate_to(path, [line.split() for line in TEXT])
    return str(path)


def random_posteriors(num_frames: int, num_symbols: int, seed: int) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(0, 2, (num_frames, num_symbols))
    return (logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).astype(np.float32)


def collapse(path: tuple[int, ...], blank: int | None) -> tuple[int, ...]:
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol != blank)


def exhaustive(scores, phones, lm, *, weight, insertion, blank=None, silent=None) -> float:
    """Score of the best path over all labelings of the frames."""
    best = -math.inf
    for path in itertools.product(range(len(phones)), repeat=len(scores)):
        collapsed = collapse(path, blank)
        words = [phones[i] for i in collapsed if i != silent]
        total = sum(scores[t, symbol] for t, symbol in enumerate(path))
        total += weight * LN10 * lm.log10_score(words) + insertion * len(words)
        best = max(best, total)
    return best


@pytest.mark.parametrize("seed", range(4))
def test_a_wide_beam_finds_the_best_path_without_blank(lm_path, seed):
    scores = random_posteriors(6, 3, seed)
    decoder = BeamDecoder(lm_path=lm_path, lm_weight=0.7, insertion_score=0.3, beam=200)
    best = exhaustive(scores, PHONES, load(Path(lm_path)), weight=0.7, insertion=0.3)
    assert decoder.decode(scores, PHONES)[0].score == pytest.approx(best, abs=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_a_wide_beam_finds_the_best_path_with_blank(lm_path, seed):
    symbols = ["-", *PHONES]
    scores = random_posteriors(5, 4, seed)
    decoder = BeamDecoder(lm_path=lm_path, lm_weight=1.2, beam=200, blank="-")
    best = exhaustive(scores, symbols, load(Path(lm_path)), weight=1.2, insertion=0.0, blank=0)
    assert decoder.decode(scores, symbols)[0].score == pytest.approx(best, abs=1e-3)


def test_silence_unknown_to_the_model_is_transparent_to_it(lm_path):
    symbols = [*PHONES, "sil"]
    scores = random_posteriors(5, 4, 1)
    decoder = BeamDecoder(lm_path=lm_path, beam=200, silence_token="sil")
    best = exhaustive(scores, symbols, load(Path(lm_path)), weight=1.0, insertion=0.0, silent=3)
    assert decoder.decode(scores, symbols)[0].score == pytest.approx(best, abs=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_hypotheses_of_an_nbest_list_differ_in_their_phones(lm_path, seed):
    symbols = ["-", *PHONES]
    scores = random_posteriors(5, 4, seed)
    decoder = BeamDecoder(lm_path=lm_path, beam=200, nbest=5, blank="-")
    found = decoder.decode(scores, symbols)
    assert len({hypothesis.phones for hypothesis in found}) == 5
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)


def test_without_weights_the_beam_is_greedy(lm_path):
    scores = random_posteriors(40, 3, 0)
    decoded = BeamDecoder(lm_path=lm_path, lm_weight=0.0).decode(scores, PHONES)[0]
    greedy = decode_greedy_runs(scores, PHONES)
    assert decoded.phones == greedy.phones
    assert decoded.start_frames == greedy.start_frames


def test_start_frames_mark_where_phones_begin(lm_path):
    scores = np.full((6, 4), -8.0, dtype=np.float32)
    scores[np.arange(6), [1, 1, 0, 1, 2, 2]] = -0.01
    decoder = BeamDecoder(lm_path=lm_path, lm_weight=0.1, blank="-")
    decoded = decoder.decode(scores, ["-", *PHONES])[0]
    assert decoded.phones == ("a", "a", "b")
    assert decoded.start_frames == (0, 3, 4)


def test_a_batch_of_ragged_utterances_equals_one_by_one(lm_path):
    utterances = [random_posteriors(n, 3, n) for n in (7, 30, 1, 12, 30)]
    decoder = BeamDecoder(lm_path=lm_path, beam=8, nbest=3)
    together = decoder.decode_batch(utterances, PHONES)
    for scores, hypotheses in zip(utterances, together, strict=True):
        alone = decoder.decode(scores, PHONES)
        assert [h.phones for h in hypotheses] == [h.phones for h in alone]
        assert [h.score for h in hypotheses] == pytest.approx([h.score for h in alone], abs=1e-3)


def test_nbest_comes_sorted_with_scores(lm_path):
    found = BeamDecoder(lm_path=lm_path, nbest=5).decode(random_posteriors(20, 3, 3), PHONES)
    assert len(found) == 5
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)


def test_a_changed_model_is_read_again(lm_path):
    decoder = BeamDecoder(lm_path=lm_path, lm_weight=3.0)
    scores = np.full((4, 3), math.log(1 / 3), dtype=np.float32)
    before = decoder.decode(scores, PHONES)[0].phones
    NgramEstimator(order=3).estimate_to(Path(lm_path), [["c", "a", "c", "b"]] * 9)
    assert decoder.decode(scores, PHONES)[0].phones != before


def test_the_table_equals_kenlm(lm_path):
    table = build_ngram_table(read_arpa(Path(lm_path)), PHONES)
    lm = load(Path(lm_path))
    for words in itertools.chain.from_iterable(
        itertools.product(range(3), repeat=n) for n in range(6)
    ):
        state, total = table.start, 0.0
        for word in words:
            total += table.log_probability_SV[state, word]
            state = table.next_state_SV[state, word]
        total += table.log_end_S[state]
        expected = LN10 * lm.log10_score([PHONES[i] for i in words])
        assert total == pytest.approx(expected, abs=1e-3), words


def test_bad_input_is_named(lm_path):
    with pytest.raises(ValueError, match="does not know 1 of 3 phones: x"):
        BeamDecoder(lm_path=lm_path).decode(random_posteriors(3, 3, 0), ["a", "b", "x"])
    with pytest.raises(ValueError, match=r"utterance 0 have shape \(3, 2\)"):
        BeamDecoder(lm_path=lm_path).decode(random_posteriors(3, 2, 0), PHONES)
    with pytest.raises(ValueError, match="utterance 0 hold NaN"):
        BeamDecoder(lm_path=lm_path).decode(np.full((3, 3), np.nan, np.float32), PHONES)
    with pytest.raises(ValueError, match="blank '-' is not among"):
        BeamDecoder(lm_path=lm_path, blank="-").decode(random_posteriors(3, 3, 0), PHONES)
    with pytest.raises(ValueError, match="beam is 5 and nbest 9"):
        BeamDecoder(lm_path=lm_path, beam=5, nbest=9)
    with pytest.raises(ValueError, match="no such language model"):
        BeamDecoder(lm_path="none.arpa").decode(random_posteriors(3, 3, 0), PHONES)


def test_a_model_too_large_for_a_table_is_an_error(lm_path, monkeypatch):
    monkeypatch.setattr("lm.ngram_table.MAX_CELLS", 10)
    with pytest.raises(ValueError, match="lower its order or prune it"):
        BeamDecoder(lm_path=lm_path).decode(random_posteriors(3, 3, 0), PHONES)


def test_options_are_a_structured_config():
    assert OmegaConf.structured(BeamDecoder(lm_path="lm.arpa")).beam == 50
