import numpy as np

from lm.word_division import divide_among_words


def random_groups(generator: np.random.Generator, least: int) -> tuple[tuple[str, ...], ...]:
    lengths = generator.integers(1, 5, size=generator.integers(least, 7))
    return tuple(tuple(generator.choice(list("abiozt"), size=length)) for length in lengths)


def test_every_phone_goes_to_exactly_one_word_in_order():
    generator = np.random.default_rng(0)
    for _ in range(300):
        words = [random_groups(generator, 0) for _ in range(generator.integers(1, 7))]
        spoken = random_groups(generator, 0)
        divided, _ = divide_among_words(words, spoken)
        assert len(divided) == len(words)
        assert [p for word in divided for p in word] == [p for group in spoken for p in group]


def test_a_shared_group_is_divided_at_the_words_own_phones():
    divided, is_doubtful = divide_among_words(
        [(("k", "a", "t"),), (("o", "v"),), (("z", "a"),)], [("k", "a", "t"), ("o", "v", "z", "i")]
    )
    assert divided == [("k", "a", "t"), ("o", "v"), ("z", "i")]
    assert not is_doubtful


def test_a_division_against_all_evidence_is_doubtful():
    _, is_doubtful = divide_among_words([(("k", "a", "t"),), (("o",),)], [("z", "z", "z", "z")])
    assert is_doubtful
