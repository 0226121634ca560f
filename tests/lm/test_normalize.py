from collections import Counter

import pytest

from lm.normalize import DroppedLines, TextNormalizer


def texts(lines) -> list[str]:
    return [" ".join(line.stored_words) for line in lines]


def test_drops_are_counted_by_reason():
    normalizer = TextNormalizer(digits="drop", min_words=2, max_words=3, drop_duplicates=True)
    text = ["two words", "", "...", "привет мир", "room 12", "one", "a b c d", "Two words!"]
    lines, dropped = normalizer.normalize_lines(text)
    assert texts(lines) == ["two words"]
    assert dropped == DroppedLines(
        empty=2, wrong_script=1, digits=1, too_short=1, too_long=1, duplicate=1, kept=1
    )
    assert dropped.dropped == 7


@pytest.mark.parametrize(
    ("language", "own", "foreign"),
    [
        ("en-us", "the cat sat on the mat", "le chat est sur la table"),
        ("de", "die katze sitzt auf der matte", "the cat sat on the mat"),
        ("es", "el gato está en la mesa", "die katze sitzt auf der matte"),
        ("ru", "кошка сидит на столе", "кітка сидить на столі"),
    ],
)
def test_sentences_of_other_languages_in_the_same_script_can_be_dropped(language, own, foreign):
    others = {"en", "de", "fr", "uk"} - {language[:2]}
    normalizer = TextNormalizer(language=language, other_languages=sorted(others))
    lines, dropped = normalizer.normalize_lines([own, foreign, "qwrtz"])
    assert texts(lines)[0] == own
    assert foreign not in texts(lines)
    assert dropped.other_language == 1


def test_digits_are_left_to_the_phonemizer_by_default():
    assert texts(TextNormalizer().normalize_lines(["room 12"])[0]) == ["room 12"]


def test_streaming_gives_the_same_lines_one_by_one():
    counts: Counter[str] = Counter()
    stream = TextNormalizer().stream(iter(["A b.", "", "c"]), counts)
    assert next(stream).text == "A b."
    assert texts(stream) == ["c"]
    assert counts == {"kept": 2, "empty": 1}


def test_text_in_the_wrong_script_is_an_error_that_names_both_scripts():
    with pytest.raises(ValueError, match=r"talk\.txt: wrong script.*LATIN.*'en-us'.*CYRILLIC"):
        TextNormalizer().normalize_lines(["привет", "мир"], source="talk.txt")


def test_text_without_words_is_an_error():
    with pytest.raises(ValueError, match="no line is left"):
        TextNormalizer().normalize_lines(["", "?!"])


def test_impossible_options_are_errors():
    with pytest.raises(ValueError, match="digits is 'spell'"):
        TextNormalizer(digits="spell")
    with pytest.raises(ValueError, match=r"no word frequencies for language 'ky'.*en, "):
        TextNormalizer(other_languages=["ky"])
    with pytest.raises(ValueError, match="min_words is 3 and max_words 2"):
        TextNormalizer(min_words=3, max_words=2)
