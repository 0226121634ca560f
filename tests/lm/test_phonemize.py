import logging

import numpy as np
import pytest
from omegaconf import OmegaConf

from lm.normalize import TextNormalizer
from lm.phonemize import EspeakPhonemizer
from unsup_asr.corpora.sentences import frequent_words, sample_sentences
from unsup_asr.speech.espeak import Espeak


@pytest.fixture(scope="module")
def english() -> EspeakPhonemizer:
    return EspeakPhonemizer()


def flat(words) -> tuple[str, ...]:
    return tuple(phone for word in words for phone in word)


def sentences(language: str, num: int) -> list[str]:
    words, probabilities = frequent_words(language, 2000)
    return sample_sentences(
        words,
        probabilities,
        num_sentences=num,
        min_words=6,
        max_words=12,
        generator=np.random.default_rng(0),
    )


def test_words_are_phonemized_alone(english):
    assert english.phonemize_words(["cat", "hello", "cat"]) == {
        "cat": ("k", "æ", "t"),
        "hello": ("h", "ə", "l", "oʊ"),
    }


def test_text_has_exactly_the_phones_that_espeak_speaks(english):
    lines = sentences("en-us", 60)
    speaker = Espeak()
    for line, words in zip(lines, english.phonemize_sentences(lines), strict=True):
        spoken = speaker.speak(line, voice="en-us+m1", sample_rate=22050)
        assert flat(words) == spoken.phones, line


def test_joined_words_are_divided_without_losing_a_phone(english):
    text = english.phonemize_text(["one of the dogs of a man"])
    words = dict(zip(text.words[0], text.phones[0], strict=True))
    assert words["the"] == ("ð", "ə")
    assert words["of"] == ("ə", "v")
    assert words["dogs"] == ("d", "ɑ", "ɡ", "z")
    assert text.counts.num_redivided == 1


def test_a_number_of_several_spoken_words_stays_one_word(english):
    text = english.phonemize_text(["in 1990 the cat sat"])
    assert len(text.phones[0]) == 5
    assert flat(text.phones[0])[-6:] == ("k", "æ", "t", "s", "æ", "t")
    assert len(text.phones[0][1]) > 8


def test_lines_never_shift(english):
    lines = ["", "the cat", "", "of the dog", ""]
    text = english.phonemize_text(lines)
    assert [len(line) for line in text.phones] == [0, 2, 0, 3, 0]
    assert text.counts.num_silent_lines == 3


def test_pronunciations_are_counted_in_context(english):
    counts = english.phonemize_text(["the cat", "the apple", "the dog"]).pronunciation_counts
    assert counts["the"] == {("ð", "ə"): 2, ("ð", "ɪ"): 1}


def test_words_said_in_another_language_are_counted():
    text = EspeakPhonemizer(language="fr-fr").phonemize_text(["le weekend est là", "bonjour"])
    assert text.counts.num_switched == 1
    assert len(text.phones[0]) == 4


@pytest.mark.parametrize(
    ("language", "line", "num_words"),
    [
        ("de", "Das ist eine schöne Straße", 5),
        ("fr-fr", "Les enfants sont allés à l'école", 6),
        ("es", "¿Qué tal están los niños?", 5),
        ("sw", "Habari ya asubuhi rafiki", 4),
        ("ky", "Бул жакшы китеп", 3),
        ("cmn", "今天天气很好 你好", 2),
        ("ar", "مرحبا بالعالم", 2),
        ("he", "שלום עולם", 2),
    ],
)
def test_every_word_of_other_languages_has_phones(language, line, num_words):
    lines, _ = TextNormalizer(language=language).normalize_lines([line])
    phones = EspeakPhonemizer(language=language).phonemize_sentences(lines)[0]
    assert len(phones) == num_words
    assert all(phones)


def test_many_french_sentences_keep_their_liaisons_and_all_phones():
    lines = sentences("fr-fr", 40)
    phonemizer = EspeakPhonemizer(language="fr-fr")
    speaker = Espeak()
    for line, words in zip(lines, phonemizer.phonemize_sentences(lines), strict=True):
        spoken = speaker.speak(line, voice="fr-fr", sample_rate=22050)
        assert flat(words) == spoken.phones, line
        assert len(words) == len(line.split())


def test_an_unknown_language_is_an_error_with_near_names():
    with pytest.raises(ValueError, match=r"no language 'english'.*en-us \(English"):
        EspeakPhonemizer(language="english")


def test_words_without_phones_are_named(english, caplog):
    with caplog.at_level(logging.WARNING, logger="lm.phonemize"):
        assert english.phonemize_words(["cat", "'"])["'"] == ()
    assert "1 of 2 words have no phones in language 'en-us' (first: \"'\")" in caplog.text


def test_text_with_no_phonemizable_word_is_an_error(english):
    with pytest.raises(ValueError, match=r"none of 2 lines has a word that espeak-ng can say"):
        english.phonemize_text(["'", ""])
    with pytest.raises(ValueError, match=r"none of 1 words has a word"):
        english.phonemize_words(["'"])


def test_options_are_a_structured_config():
    assert OmegaConf.structured(EspeakPhonemizer) == {"language": "en-us"}
