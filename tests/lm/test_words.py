import math

import numpy as np
import pytest
from omegaconf import OmegaConf

from lm.lexicon import Lexicon
from lm.ngram import NgramEstimator
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
    from pathlib import Path

    from lm.score import load

    expected = scores.max(axis=1).sum() + 2.0 * math.log(10) * load(
        Path(options["lm_path"])
    ).log10_score(["cat"])
    decoded = WordDecoder(**options, lm_weight=2.0, word_score=0.5).decode(scores, PHONES)
    assert decoded.score == pytest.approx(expected + 0.5, abs=1e-3)


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
    with pytest.raises(ValueError, match="beam is 0"):
        WordDecoder(**options, beam=0)


def test_options_are_a_structured_config():
    assert OmegaConf.structured(WordDecoder(lexicon_path="l", lm_path="m")).beam == 100
