import numpy as np
import pytest
import torch

from gan.batches import UnpairedData, utterances_at
from unsup_asr.formats.ragged import RaggedArray


def ids(*phones: int) -> np.ndarray:
    return np.array(phones, dtype=np.int32)


def segments(**arrays: np.ndarray) -> RaggedArray:
    return RaggedArray.from_arrays(
        arrays or {f"u{i}": np.full((i + 1, 2), float(i), dtype=np.float32) for i in range(5)}
    )


TEXT = [ids(0, 1, 2), ids(2, 0)]


def test_an_epoch_visits_every_utterance_once() -> None:
    seen = np.concatenate([utterances_at(step, 0, 4, 10) for step in range(5)])
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert list(seen[:10]) != list(seen[10:])


def test_a_batch_holds_whole_utterances_and_sentences() -> None:
    data = UnpairedData.check(segments(), TEXT, num_phones=3)
    batch = data.draw(0, seeds=[0], batch_size=5, device="cpu")
    for sequence in range(5):
        rows = batch.features_MND[0, batch.speech.sequence_MN[0] == sequence]
        assert len(rows) == int(rows[0, 0]) + 1
        sentence = batch.text_MN[0, batch.text.sequence_MN[0] == sequence].tolist()
        assert sentence in [list(known) for known in TEXT]


def test_a_seed_draws_the_same_alone_and_beside_another() -> None:
    data = UnpairedData.check(segments(), TEXT, num_phones=3)
    alone = data.draw(3, seeds=[8], batch_size=2, device="cpu")
    beside = data.draw(3, seeds=[5, 8], batch_size=2, device="cpu")
    rows = int(alone.speech.lengths_MB.sum())
    assert torch.equal(alone.features_MND[0], beside.features_MND[1, :rows])
    assert alone.draws.rngs[0].random() == beside.draws.rngs[1].random()


def test_what_a_seed_draws_does_not_change_from_version_to_version() -> None:
    counts = range(1, 21)
    rows = segments(**{f"u{n}": np.zeros((n, 2), np.float32) for n in counts})
    data = UnpairedData.check(rows, [ids(*[0] * n) for n in counts], num_phones=1)
    batch = data.draw(3, seeds=[8], batch_size=4, device="cpu")
    assert batch.speech.lengths_MB.tolist() == [[20, 15, 18, 13]]
    assert batch.text.lengths_MB.tolist() == [[5, 8, 9, 12]]
    assert list(batch.draws.rngs[0].bytes(6)) == [21, 4, 116, 213, 120, 149]
    found = batch.draws.rngs[0].random(2, dtype=np.float32).tolist()
    assert found == pytest.approx([0.9387194514, 0.6270986199])


def test_auxiliary_classes_follow_their_segments() -> None:
    rows = segments()
    numbers = {i: np.arange(len(rows[i]), dtype=np.int32) + 10 * n for n, i in enumerate(rows)}
    data = UnpairedData.check(
        rows, TEXT, num_phones=3, auxiliary_classes=RaggedArray.from_arrays(numbers)
    )
    batch = data.draw(0, seeds=[0, 1], batch_size=2, device="cpu")
    assert batch.targets_MN is not None
    for member in range(2):
        filler = batch.speech.is_filler_MN[member]
        utterance = batch.features_MND[member, ~filler, 0].long()
        position = batch.speech.position_MN[member, ~filler]
        assert torch.equal(batch.targets_MN[member, ~filler], 10 * utterance + position)
        assert bool((batch.targets_MN[member, filler] == -1).all())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ([], "no sentence to train on"),
        ([ids(0), ids()], "sentence 1 of 2 has no phone"),
        ([ids(0, 7)], "phone ids from 0 to 7; expected 0 to 2"),
    ],
)
def test_impossible_text_is_refused(text: list[np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UnpairedData.check(segments(), text, num_phones=3)


def test_utterances_without_segments_are_refused_by_name() -> None:
    empty = segments(good=np.zeros((2, 2), np.float32), bad=np.zeros((0, 2), np.float32))
    with pytest.raises(ValueError, match="utterance 'bad' has no segment"):
        UnpairedData.check(empty, TEXT, num_phones=3)
    nothing = RaggedArray(np.zeros((0, 2)), [], np.zeros(1, dtype=np.int64))
    with pytest.raises(ValueError, match="no utterance to train on"):
        UnpairedData.check(nothing, TEXT, num_phones=3)


def test_nan_features_are_refused_by_name() -> None:
    broken = segments(good=np.zeros((2, 2), np.float32), bad=np.full((1, 2), np.nan, np.float32))
    data = UnpairedData.check(broken, TEXT, num_phones=3)
    with pytest.raises(ValueError, match="'bad' hold NaN"):
        data.draw(0, seeds=[0], batch_size=2, device="cpu")


def test_short_utterances_can_be_left_out_of_every_batch() -> None:
    data = UnpairedData.check(segments(), TEXT, num_phones=3).without_short(3)
    for step in range(4):
        batch = data.draw(step, seeds=[0], batch_size=3, device="cpu")
        assert sorted(batch.speech.lengths_MB[0].tolist()) == [3, 4, 5]
