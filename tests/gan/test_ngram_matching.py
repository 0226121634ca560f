"""N-gram matching against slow, obvious versions, and on a small cipher."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gan import ngram_matching
from gan.draws import HostDraws
from gan.ngram_matching import NgramTable, draw_frames, frame_smoothness, ngram_loss
from gan.packing import Packing
from gan.trainer import AdversarialTrainer, play
from unsup_asr.formats.ragged import RaggedArray

LENGTHS = torch.tensor([[4, 2, 6], [3, 5, 1]])
PHONES = 4
TEXT = [[0, 1, 2, 3], [1, 2], [1, 2, 3, 0, 1, 2]]


def table(order: int, most: int = 100) -> NgramTable:
    values = np.concatenate(TEXT).astype(np.int32)
    offsets = np.cumsum([0, *map(len, TEXT)])
    return NgramTable.of_text(values, offsets, order=order, most=most)


def posteriors() -> tuple[torch.Tensor, Packing]:
    torch.manual_seed(0)
    packing = Packing.of_lengths(LENGTHS)
    return torch.softmax(torch.randn(*packing.sequence_MN.shape, PHONES), -1), packing


def test_ngrams_are_counted_inside_sentences_most_frequent_first() -> None:
    found = table(2)
    shares = {
        tuple(z): float(p) for z, p in zip(found.ngrams.tolist(), found.shares_Z, strict=True)
    }
    assert shares == pytest.approx({(1, 2): 4 / 9, (0, 1): 2 / 9, (2, 3): 2 / 9, (3, 0): 1 / 9})
    assert table(2, most=1).ngrams.tolist() == [[1, 2]]
    assert float(table(2, most=3).shares_Z.sum()) == pytest.approx(1.0)


def test_text_shorter_than_the_order_is_refused() -> None:
    with pytest.raises(ValueError, match="no sentence of the text has 7 phones"):
        table(7)


@pytest.mark.parametrize("order", [1, 3])
def test_loss_and_slope_are_those_of_the_cross_entropy_of_expected_ngrams(
    order: int, monkeypatch
) -> None:
    monkeypatch.setattr(ngram_matching, "_CELLS_AT_ONCE", 30)  # a few N-grams at a time
    values, packing = posteriors()
    ngrams = table(order)
    found_from, expected_from = (values.clone().requires_grad_() for _ in range(2))
    found = ngram_loss(found_from, packing, ngrams)
    losses = []
    for member, lengths in enumerate(LENGTHS.tolist()):
        utterances = expected_from[member, : sum(lengths)].split(lengths)
        windows = [u[i : i + order] for u in utterances for i in range(len(u) - order + 1)]
        loss = torch.zeros(())
        for ngram, share in zip(ngrams.ngrams.tolist(), ngrams.shares_Z, strict=True):
            chances = [torch.stack([w[i, z] for i, z in enumerate(ngram)]).prod() for w in windows]
            loss = loss - share * torch.stack(chances).mean().log()
        losses.append(loss)
    torch.testing.assert_close(found, torch.stack(losses), atol=1e-5, rtol=1e-4)
    (torch.tensor([1.0, 3.0]) * found).sum().backward()
    (losses[0] + 3 * losses[1]).backward()
    torch.testing.assert_close(found_from.grad, expected_from.grad, atol=1e-5, rtol=1e-4)


def test_a_batch_of_utterances_shorter_than_the_order_is_refused() -> None:
    values, packing = posteriors()
    with pytest.raises(ValueError, match="no utterance of the batch has 6 segments; raise"):
        ngram_loss(values, packing, NgramTable(torch.zeros(1, 6).long(), torch.ones(1)))
    with pytest.raises(ValueError, match="no utterance of the batch has 20 segments; raise"):
        ngram_loss(values, packing, NgramTable(torch.zeros(1, 20).long(), torch.ones(1)))


def test_frame_smoothness_is_between_frames_of_one_segment() -> None:
    packing = Packing.of_lengths(LENGTHS)
    values = torch.softmax(torch.randn(*packing.sequence_MN.shape, 3, PHONES), -1)
    found = frame_smoothness(values, packing)
    for member, lengths in enumerate(LENGTHS.tolist()):
        total = 0.0
        for segment in values[member, : sum(lengths)]:
            total += sum(float((segment[f + 1] - segment[f]).square().sum()) for f in range(2))
        assert float(found[member]) == pytest.approx(total / sum(lengths), rel=1e-4)


def test_drawn_frames_are_the_segments_own() -> None:
    packing = Packing.of_lengths(torch.tensor([[50]]))
    values = torch.arange(50)[None, :, None, None] * 10 + torch.arange(3)[None, None, :, None]
    drawn = draw_frames(values.float(), packing, HostDraws([np.random.default_rng(0)]))[0, :, 0]
    assert (drawn // 10).tolist() == list(range(50))
    assert set((drawn % 10).tolist()) == {0.0, 1.0, 2.0}


def test_a_cipher_is_solved_by_its_ngrams(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def walks(count: int) -> list[np.ndarray]:
        steps = rng.choice([1, 2], p=[0.9, 0.1], size=(count, 12))
        steps[:, 0] = rng.integers(2, size=count)  # sentences begin with 0 or 1
        return [(np.cumsum(s) % PHONES).astype(np.int32) for s in steps]

    speech, text = walks(200), walks(400)
    code = np.array([2, 0, 3, 1])
    eye = np.eye(PHONES, dtype=np.float32)
    # Two frames a segment, the second the same as the first.
    frames = {f"u{i}": np.tile(eye[code[s]], (1, 2)) for i, s in enumerate(speech)}
    validation = RaggedArray.from_arrays({f"u{i}": eye[code[s]] for i, s in enumerate(speech)})
    kept = []
    options = AdversarialTrainer(
        updates=150,
        batch_size=100,
        objective="ngrams",
        ngram_order=3,
        frames_per_segment=2,
        generator_kernel=1,
        generator_dropout=0.0,
        generator_learning_rate=0.05,
        validate_every=150,
        criterion="latest",
    )
    play(
        [options],
        RaggedArray.from_arrays(frames),
        text,
        num_phones=PHONES,
        validate=lambda found: kept.append(found) or {"latest": -float(len(kept))},
        validation_segments=validation,
        checkpoint_dir=tmp_path,
    )
    written, said = np.concatenate(kept[-1]), np.concatenate(speech)
    rotations = [float(np.mean((said + r) % PHONES == written)) for r in range(PHONES)]
    assert max(rotations) > 0.99  # nothing in the windows tells a rotation from the truth
