import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from lm.lexicon import Lexicon
from lm.ngram import NgramEstimator
from lm.score import load
from lm.words import WordDecoder

PHONES = ["k", "æ", "t", "s", "ð", "ə", "ɹ", "ɛ", "d", "i", "<SIL>"]
LEXICON = {
    "the": {("ð", "ə"): 9},
    "cat": {("k", "æ", "t"): 5},
    "cats": {("k", "æ", "t", "s"): 2},
    "red": {("ɹ", "ɛ", "d"): 3},
    "read": {("ɹ", "ɛ", "d"): 2, ("ɹ", "i", "d"): 2},
}
TEXT = ["the cat read", "the red cat", "the red cats", "cats read", "the cats read the cat"]


@pytest.fixture
def options(tmp_path) -> dict[str, str]:
    NgramEstimator(order=2).estimate_to(tmp_path / "lm.arpa", [line.split() for line in TEXT])
    Lexicon(LEXICON).write(tmp_path / "lexicon.tsv")
    return {"lm_path": str(tmp_path / "lm.arpa"), "lexicon_path": str(tmp_path / "lexicon.tsv")}


def posteriors(symbols: str, phones=PHONES, *, sure: float = 0.9) -> np.ndarray:
    """One frame a symbol, which gets probability `sure`."""
    labels = [phones.index(symbol) for symbol in symbols.split()]
    scores = np.full((len(labels), len(phones)), (1 - sure) / (len(phones) - 1))
    scores[np.arange(len(labels)), labels] = sure
    return np.log(scores).astype(np.float32)


def words_of(sentence) -> list[str]:
    return [word.word for word in sentence.words]


def test_homophones_are_told_apart_by_the_words_around(options):
    decoder = WordDecoder(**options)
    assert words_of(decoder.decode(posteriors("ð ə k æ t ɹ ɛ d"), PHONES)) == ["the", "cat", "read"]
    assert words_of(decoder.decode(posteriors("ð ə ɹ ɛ d k æ t"), PHONES)) == ["the", "red", "cat"]


def test_phones_have_the_frames_where_they_start(options):
    sentence = WordDecoder(**options).decode(posteriors("ð ð ə ə ə k æ æ t t s"), PHONES)
    assert sentence.phones == ("ð", "ə", "k", "æ", "t", "s")
    assert sentence.start_frames == (0, 2, 5, 6, 8, 10)
    assert words_of(sentence) == ["the", "cats"]
    assert sentence.words[1].phones == ("k", "æ", "t", "s")
    assert sentence.words[1].start_frames == (5, 6, 8, 10)


def test_a_wrong_frame_is_mended_by_the_lexicon(options):
    scores = posteriors("ð ə k k t t", sure=0.5)  # kt is no word
    assert words_of(WordDecoder(**options).decode(scores, PHONES)) == ["the", "cat"]


def test_silence_stands_between_words_and_belongs_to_none(options):
    scores = posteriors("<SIL> ð ə <SIL> <SIL> k æ t <SIL>")
    sentence = WordDecoder(**options, silence_token="<SIL>").decode(scores, PHONES)
    assert sentence.phones == ("<SIL>", "ð", "ə", "<SIL>", "k", "æ", "t", "<SIL>")
    assert [word.phones for word in sentence.words] == [("ð", "ə"), ("k", "æ", "t")]
    assert sentence.words[1].start_frames == (5, 6, 7)


def test_silence_never_stands_inside_a_word(options):
    decoder = WordDecoder(**options, silence_token="<SIL>")
    sentence = decoder.decode(posteriors("k æ <SIL> t", sure=0.6), PHONES)
    assert sentence.phones == ("k", "æ", "t")


def test_a_ctc_blank_is_no_phone(options):
    phones = ["-", *PHONES]
    scores = posteriors("- ð - - ə k - æ t - -", phones)
    sentence = WordDecoder(**options, blank="-").decode(scores, phones)
    assert words_of(sentence) == ["the", "cat"]
    assert sentence.start_frames == (1, 4, 5, 7, 8)


def test_processes_change_nothing(options):
    generator = np.random.default_rng(0)
    utterances = [
        np.log(generator.dirichlet(np.full(len(PHONES), 0.3), size=length) + 1e-8).astype("float32")
        for length in (5, 12, 9)
    ]
    decoder = WordDecoder(**options)
    alone = decoder.decode_batch(utterances, PHONES)
    assert decoder.decode_batch(utterances, PHONES, num_workers=2) == alone
    assert all(math.isfinite(best.score) for (best,) in alone)


def test_the_score_is_made_of_natural_logs(options):
    scores = posteriors("k æ t")
    expected = scores.max(axis=1).sum() + 2.0 * math.log(10) * load(
        Path(options["lm_path"])
    ).log10_score(["cat"])
    decoded = WordDecoder(**options, lm_weight=2.0, word_score=0.5).decode(scores, PHONES)
    assert decoded.score == pytest.approx(expected + 0.5, abs=1e-3)


def every_sentence(max_words: int) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Words and phones of all sentences of the lexicon up to a length."""
    said = [(word, phones) for word, spoken in LEXICON.items() for phones in spoken]
    return [
        (tuple(word for word, _ in chosen), tuple(p for _, phones in chosen for p in phones))
        for length in range(1, max_words + 1)
        for chosen in itertools.product(said, repeat=length)
    ]


def best_alignment(scores: np.ndarray, phones: tuple[str, ...], symbols: list[str]) -> float:
    """Viterbi score of saying the phones over all frames, with optional blanks `-`."""
    states = ["-", *itertools.chain.from_iterable((p, "-") for p in phones)]
    has_blank = "-" in symbols
    best = dict.fromkeys(range(len(states)), -math.inf)
    for t in range(len(scores)):
        now = {}
        for s, symbol in enumerate(states):
            if symbol == "-" and not has_blank:
                continue
            before = [best[s], best.get(s - 1, -math.inf) if has_blank else -math.inf]
            if s >= 2 and symbol != "-" and symbol != states[s - 2]:
                before.append(best[s - 2])
            if t == 0:
                before = [0.0 if s <= 1 else -math.inf]
            now[s] = max(before) + scores[t, symbols.index(symbol)]
        best = dict.fromkeys(range(len(states)), -math.inf) | now
    return max(best[len(states) - 2], best[len(states) - 1] if has_blank else -math.inf)


@pytest.mark.parametrize("with_blank", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_a_wide_beam_finds_the_best_sentence_of_all(options, seed, with_blank):
    symbols = [*(["-"] if with_blank else []), *PHONES[:-1]]
    draws = np.random.default_rng(seed).dirichlet(np.full(len(symbols), 0.4), size=7)
    scores = np.log(draws + 1e-4).astype(np.float32)
    decoder = WordDecoder(
        **options, lm_weight=0.8, word_score=0.4, beam=3000, phones_a_frame=99, nbest=3,
        blank="-" if with_blank else None,
    )  # fmt: skip
    model = load(Path(options["lm_path"]))
    totals: dict[tuple[str, ...], float] = {}
    for words, phones in every_sentence(3):
        score = best_alignment(scores, phones, symbols)
        score += 0.8 * math.log(10) * model.log10_score(words) + 0.4 * len(words)
        totals[words] = max(score, totals.get(words, -math.inf))
    ordered = sorted(totals, key=lambda words: -totals[words])
    found = decoder.decode_batch([scores], symbols)[0]
    assert tuple(words_of(found[0])) == ordered[0]
    assert found[0].score == pytest.approx(totals[ordered[0]], abs=1e-3)
    assert len({tuple(words_of(sentence)) for sentence in found}) == len(found) == 3
    assert [s.score for s in found] == sorted((s.score for s in found), reverse=True)
    for sentence in found[1:]:
        assert sentence.score <= totals[tuple(words_of(sentence))] + 1e-3


def test_unspellable_pronunciations_are_counted(options, caplog):
    phones = [p for p in PHONES if p != "i"]
    WordDecoder(**options).decode(posteriors("ð ə", phones), phones)
    assert "left out 1 pronunciations with phones the posteriors lack" in caplog.text


def test_bad_input_is_named(options):
    with pytest.raises(ValueError, match="no word can be spelled with the phones"):
        WordDecoder(**options).decode(np.zeros((2, 2), np.float32), ["x", "y"])
    with pytest.raises(ValueError, match=r"shape \(2, 3\); expected \(frames, 11\)"):
        WordDecoder(**options).decode(np.zeros((2, 3), np.float32), PHONES)
    with pytest.raises(ValueError, match="hold NaN"):
        WordDecoder(**options).decode(np.full((2, 11), np.nan, np.float32), PHONES)
    with pytest.raises(ValueError, match="blank '-' is not among"):
        WordDecoder(**options, blank="-").decode(posteriors("ð"), PHONES)
    with pytest.raises(ValueError, match="nbest is 9 and beam 5"):
        WordDecoder(**options, beam=5, nbest=9)
    with pytest.raises(ValueError, match="beam is 0"):
        WordDecoder(**options, beam=0)


def test_options_are_a_structured_config():
    assert OmegaConf.structured(WordDecoder(lexicon_path="l", lm_path="m")).beam == 100
