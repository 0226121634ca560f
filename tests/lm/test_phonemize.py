import re

import numpy as np
import pytest
from omegaconf import OmegaConf

from lm.phonemize import EspeakPhonemizer
from unsup_asr.corpora.languages import wordfreq_code
from unsup_asr.corpora.sentences import frequent_words, sample_sentences
from unsup_asr.speech.espeak import Espeak
from unsup_asr.speech.espeak_languages import languages
from unsup_asr.speech.phones import fold_espeak


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
    phones = EspeakPhonemizer(language=language).phonemize_sentences([line])[0]
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


def test_text_with_no_phonemizable_word_is_an_error(english):
    with pytest.raises(ValueError, match=r"none of 2 lines has a word that espeak-ng can say"):
        english.phonemize_text(["'", ""])


MARKS = (", ", ". ", "; ", " - ", "-", " «", "» ", "! ", " 1,500 ", " 3.14 ", " $20 ", " 25% ")
MARKS += (" (", ") ", "/", "… ", " & ", " 10:30 ", ": ", "’", " XIV ", " USA ")


def spoken_by_espeak(phonemizer: EspeakPhonemizer, line: str) -> tuple[str, ...]:
    """What espeak-ng's own function says, given the line as it is."""
    wrapper = phonemizer._backend._espeak
    said = wrapper.text_to_phonemes(line, False).replace("\n", " ")
    said = re.sub(r"\([^)]*\)", " ", said)
    phones = (phone for word in said.split(" ") for phone in word.split("_"))
    return tuple(folded for phone in phones for folded in fold_espeak(phone))


@pytest.mark.parametrize(
    "language",
    [code for code in sorted(languages()) if "-" not in code and wordfreq_code(code)]
    + ["en-us", "en-gb", "fr-fr", "pt-br"],
)
def test_a_raw_line_has_the_phones_that_espeak_gives_it(language):
    lines = [
        (line if i % 2 else line.title()).replace(" ", MARKS[i % len(MARKS)], 2)
        for i, line in enumerate(sentences(language, 2 * len(MARKS)))
    ]
    phonemizer = EspeakPhonemizer(language=language)
    for line, words in zip(lines, phonemizer.phonemize_sentences(lines), strict=True):
        assert flat(words) == spoken_by_espeak(phonemizer, line), line


@pytest.mark.parametrize(
    ("language", "line", "stored"),
    [
        ("en-us", "It cost $20, 25% of 1,500 or 3.14", "it cost $20 25% of 1,500 or 3.14"),
        ("en-us", "R&B of Louis XIV", "r&b of louis xiv"),
        ("fr-fr", "a-t-il vu la USA", "a-t-il vu la usa"),
    ],
)
def test_words_keep_what_espeak_needs_to_read_them(english, language, line, stored):
    phonemizer = english if language == "en-us" else EspeakPhonemizer(language=language)
    text = phonemizer.phonemize_text([line])
    assert text.words[0] == stored.split()
    assert all(text.phones[0])
    assert flat(text.phones[0]) == spoken_by_espeak(phonemizer, line)


def test_lines_in_capitals_are_read_as_words(english):
    loud, quiet = english.phonemize_sentences(["THE CAT SAT", "the cat sat"])
    assert loud == quiet


@pytest.mark.parametrize("language", ["ko", "cmn", "en-us", "bg"])
def test_no_word_of_a_very_long_line_is_lost(language):
    words = " ".join(sentences(language, 60)).split()
    phonemizer = EspeakPhonemizer(language=language)
    text = phonemizer.phonemize_text([" ".join(words)])
    assert len(text.phones[0]) == len(words)
    assert all(text.phones[0])
    short = phonemizer.phonemize_text([" ".join(words[i : i + 8]) for i in range(0, len(words), 8)])
    in_pieces, as_sentences = len(flat(text.phones[0])), sum(len(flat(x)) for x in short.phones)
    assert in_pieces == pytest.approx(as_sentences, rel=0.01)


def test_a_line_of_which_words_were_lost_is_said_in_halves(monkeypatch):
    monkeypatch.setattr("lm.phonemize._PIECE_BYTES", 100_000)
    line = " ".join(sentences("ko", 20))
    whole = EspeakPhonemizer(language="ko").phonemize_text([line])
    assert whole.counts.num_mended == 1
    assert whole.lines[0].is_in_pieces
    assert all(whole.phones[0])


def test_lines_mostly_of_another_language_are_counted():
    text = EspeakPhonemizer(language="ja").phonemize_text(["ねこ が いる", "今日 東京 に 行った"])
    assert (text.counts.num_switched, text.counts.num_foreign) == (1, 1)


def test_options_are_a_structured_config():
    assert OmegaConf.structured(EspeakPhonemizer) == {"language": "en-us"}
