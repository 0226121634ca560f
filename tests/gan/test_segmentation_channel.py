import numpy as np
import pytest

from gan.matching import skip_bigrams
from gan.segmentation_channel import SegmentationChannel


def ints(*values):
    return np.array(values, dtype=np.int32)


def cut(text, spoken, num_segments, **options):
    found = SegmentationChannel(**options).cut(text, spoken, num_segments)
    assert [x.dtype for x in found] == [np.int32] * len(text)
    return [x.tolist() for x in found]


def test_a_phone_is_cut_as_it_was_before_the_same_neighbour():
    """Phone 0 has no segment before 1 and two before 2; one probability a phone cannot say so."""
    spoken = [ints(0, 1), ints(0, 2)] * 500
    numbers = [ints(0, 1), ints(2, 1)] * 500
    found = cut([ints(0, 1), ints(0, 2)], spoken, numbers, trust=1e-6)
    assert found == [[1], [0, 0, 2]]


def test_where_a_boundary_is_missed_one_of_the_two_phones_has_the_segment():
    """Either number alone is a coin; together they are always one segment."""
    spoken = [ints(0, 1)] * 400
    numbers = [ints(1, 0), ints(0, 1)] * 200
    found = cut([ints(0, 1)] * 100, spoken, numbers, trust=1e-6)
    assert {tuple(x) for x in found} == {(0,), (1,)}


def test_a_context_never_seen_leans_on_the_phone_alone_and_that_on_all_phones():
    spoken, numbers = [ints(0, 1)] * 300 + [ints(2)] * 300, [ints(3, 1)] * 300 + [ints(3)] * 300
    assert cut([ints(1, 0)], spoken, numbers, trust=1e-6) == [[1, 0, 0, 0]]
    unheard = cut([ints(5)] * 300, spoken, numbers)
    assert np.mean([len(x) == 3 for x in unheard]) == pytest.approx(2 / 3, abs=0.1)


def test_sentences_are_not_neighbours():
    spoken, numbers = [ints(0), ints(0, 1)] * 300, [ints(0), ints(2, 1)] * 300
    assert cut([ints(0), ints(), ints(1)], spoken, numbers, trust=1e-6) == [[], [], [1]]


def test_more_segments_than_the_most_count_as_so_many_and_a_seed_decides_all():
    spoken, numbers = [ints(0)] * 10, [ints(7)] * 10
    assert cut([ints(0)], spoken, numbers, max_segments=2, trust=1e-6) == [[0, 0]]
    text, mixed = [ints(0, 0, 0)] * 20, [ints(n) for n in (0, 1, 2, 3)]
    first, again, other = (cut(text, [ints(0)] * 4, mixed, seed=s) for s in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize(
    ("spoken", "numbers", "message"),
    [([], [], "0 phones"), ([ints(0, 1)], [ints(1)], "2 phones and 1 numbers")],
)
def test_what_does_not_correspond_is_refused(spoken, numbers, message):
    with pytest.raises(ValueError, match=message):
        cut([ints(0)], spoken, numbers)


def test_statistics_of_the_cut_text_are_those_of_segments_and_of_the_written_are_not():
    """Also where a probability for each phone, whatever its neighbours, is not enough."""
    rng = np.random.default_rng(3)
    size = 6
    transitions = rng.dirichlet(np.full(size, 0.5), size=size)
    habits_VV = rng.integers(4, size=(size, size))  # segments of a phone, by the next one

    def sentences():
        return [_walk(rng, transitions, 30) for _ in range(400)]

    def numbers(of):
        return [habits_VV[x, np.append(x[1:], x[-1])].astype(np.int32) for x in of]

    def distance(of):
        statistics = skip_bigrams(of, size, num_lags=3)
        return np.abs(statistics - segments_LVV).sum()

    heard, text, sample = sentences(), sentences(), sentences()
    segments = [np.repeat(x, n) for x, n in zip(heard, numbers(heard), strict=True)]
    segments_LVV = skip_bigrams(segments, size, num_lags=3)
    each_alone = [ints(v) for x in sample for v in x]
    by_phone = [ints(n) for x in numbers(sample) for n in x]
    channel = SegmentationChannel()
    in_context = distance(channel.cut(text, sample, numbers(sample)))
    by_phone_alone = distance(channel.cut(text, each_alone, by_phone))
    assert in_context < 0.5 * by_phone_alone < 0.5 * distance(text)


def _walk(rng, transitions, length):
    path = [rng.integers(len(transitions))]
    for _ in range(length - 1):
        path.append(rng.choice(len(transitions), p=transitions[path[-1]]))
    return np.array(path, dtype=np.int32)
