import numpy as np

from lm import word_division
from lm.word_division import Division, divide_among_words


def random_groups(generator: np.random.Generator, least: int) -> tuple[tuple[str, ...], ...]:
    lengths = generator.integers(1, 5, size=generator.integers(least, 7))
    return tuple(tuple(generator.choice(list("abiozt"), size=length)) for length in lengths)


def test_every_phone_goes_to_exactly_one_word_in_order():
    generator = np.random.default_rng(0)
    for _ in range(300):
        words = [random_groups(generator, 0) for _ in range(generator.integers(1, 7))]
        spoken = random_groups(generator, 0)
        divided = divide_among_words(words, spoken).phones
        assert len(divided) == len(words)
        assert [p for word in divided for p in word] == [p for group in spoken for p in group]


def test_a_shared_group_is_divided_at_the_words_own_phones():
    division = divide_among_words(
        [(("k", "a", "t"),), (("o", "v"),), (("z", "a"),)], [("k", "a", "t"), ("o", "v", "z", "i")]
    )
    assert division == Division([("k", "a", "t"), ("o", "v"), ("z", "i")])


def test_a_division_against_all_evidence_is_doubtful():
    words = [(("k", "a", "t"),), (("o",),)]
    assert divide_among_words(words, [("z", "z", "z", "z")]).is_doubtful


def test_words_said_as_one_sound_share_it():
    """Bulgarian `с в` is `s f`: one group, of which the second word took all."""
    words = [(("s", "ə"),), (("v", "ə"),), (("t", "a", "k"),)]
    division = divide_among_words(words, [("s", "f"), ("t", "a", "k")])
    assert division.phones == [("s",), ("f",), ("t", "a", "k")]
    assert not division.has_lost_words


def test_a_word_that_was_not_said_is_lost_and_takes_nothing_from_others():
    words = [(("k", "a", "t"),), (("d", "o", "g", "z"),), (("t", "a", "k"),)]
    division = divide_among_words(words, [("k", "a", "t"), ("t", "a", "k")])
    assert division.phones == [("k", "a", "t"), (), ("t", "a", "k")]
    assert division.has_lost_words
    assert not divide_among_words([(("k",),), ()], [("k",)]).has_lost_words  # nobody can say it


def test_more_groups_than_words_that_agree_go_to_a_word():
    assert divide_among_words([(("k",),)], [("k",), ("k",)]).phones == [("k", "k")]
    assert divide_among_words([], [("k",)]).phones == []


def test_work_grows_with_the_line_and_not_with_its_square(monkeypatch):
    """Counted, not timed: distances that are worked out for lines of 50 and of 500 words."""
    calls = []
    distance = word_division._distance
    monkeypatch.setattr(
        word_division, "_distance", lambda *given: calls.append(1) or distance(*given)
    )
    counts = []
    for repeats in (5, 50):
        words = [((p, "a", "t"),) for p in "kbdgzlmnrv"] * repeats
        groups = [
            (*first[0], *second[0]) for first, second in zip(words[::2], words[1::2], strict=True)
        ]
        calls.clear()
        divided = divide_among_words(words, groups)
        assert divided.phones == [word[0] for word in words]
        counts.append(len(calls))
    assert counts[1] < 15 * counts[0]
