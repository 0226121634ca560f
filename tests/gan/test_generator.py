import numpy as np
import pytest
import torch

from gan.draws import HostDraws
from gan.generator import Generator, GeneratorShape, _normalise, drop_out, generate, phones_only
from gan.packing import Packing

LENGTHS = torch.tensor([[5, 1, 14], [3, 12, 2]])


def packed(dim: int) -> tuple[torch.Tensor, Packing]:
    packing = Packing.of_lengths(LENGTHS)
    values = torch.randn(*packing.sequence_MN.shape, dim)
    return values.masked_fill(packing.is_filler_MN[..., None], 0.0), packing


@pytest.mark.parametrize(
    "shape",
    [
        GeneratorShape(input_dim=6, num_phones=5),
        GeneratorShape(input_dim=6, num_phones=5, kernel=1),
        GeneratorShape(
            input_dim=6, num_phones=5, kernel=9, stride=3, batch_norm_weight=30.0, residual=True
        ),
        GeneratorShape(input_dim=6, num_phones=5, kernel=3, hidden=7),
        GeneratorShape(input_dim=6, num_phones=5, overhang=True),
        GeneratorShape(input_dim=6, num_phones=5, kernel=3, overhang=True),
    ],
    ids=["wav2vec-U 1.0", "kernel 1", "wav2vec-U 2.0", "hidden layer", "overhang", "odd kernel"],
)
def test_packed_generators_equal_plain_ones_utterance_by_utterance(shape: GeneratorShape) -> None:
    torch.manual_seed(0)
    generators = [Generator(shape).eval() for _ in range(2)]
    features, packing = packed(shape.input_dim)
    found = generate(generators, features, packing)
    for member, lengths in enumerate(LENGTHS.tolist()):
        ends = np.cumsum(lengths)
        found_ends = found.packing.starts_MB[member].tolist()
        for sequence, (end, length) in enumerate(zip(ends, lengths, strict=True)):
            expected = generators[member](features[member, end - length : end])
            rows = found.logits_MNV[member, found_ends[sequence] : found_ends[sequence + 1]]
            torch.testing.assert_close(rows, expected, atol=1e-4, rtol=1e-4)


def test_output_is_one_row_a_segment_and_with_stride_3_every_third() -> None:
    assert Generator(GeneratorShape(input_dim=2, num_phones=4))(torch.zeros(7, 2)).shape == (7, 4)
    strided = Generator(GeneratorShape(input_dim=2, num_phones=4, kernel=9, stride=3))
    assert strided(torch.zeros(7, 2)).shape == (3, 4)


def test_an_even_kernel_overhangs_by_one_output_as_a_convolution_padded_on_both_sides() -> None:
    generator = Generator(GeneratorShape(input_dim=2, num_phones=4, overhang=True))
    rows = torch.randn(7, 2)
    padded = torch.nn.functional.conv1d(rows.T[None], generator.conv.weight, padding=2)[0].T
    torch.testing.assert_close(generator(rows), padded)
    assert generator(rows).shape == (8, 4)
    assert phones_only(generator, 3)(rows).shape == (8, 3)


def test_batch_norm_reads_real_rows_only() -> None:
    torch.manual_seed(0)
    shape = GeneratorShape(input_dim=3, num_phones=4, batch_norm_weight=30.0)
    features, packing = packed(3)
    generators = [Generator(shape) for _ in range(2)]
    generate(generators, features, packing)
    norm = generators[1].norm
    assert norm is not None
    assert norm.running_mean is not None
    torch.testing.assert_close(norm.running_mean, 0.1 * features[1, :17].mean(0))


def test_a_generator_started_from_a_map_gives_that_map() -> None:
    generator = Generator(GeneratorShape(input_dim=3, num_phones=4))
    linear = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    generator.start_from_map(linear)
    segments = torch.randn(6, 3)
    torch.testing.assert_close(generator(segments), segments @ torch.from_numpy(linear))


def test_a_map_of_another_shape_is_refused() -> None:
    generator = Generator(GeneratorShape(input_dim=3, num_phones=4))
    with pytest.raises(ValueError, match=r"shape \(4, 3\); expected .* \(3, 4\)"):
        generator.start_from_map(np.zeros((4, 3), dtype=np.float32))


def test_dropout_zeroes_the_share_asked_for_and_keeps_the_mean() -> None:
    packing = Packing.of_lengths(torch.tensor([[1000]]))
    dropped = drop_out(torch.ones(1, 1000, 20), packing, 0.1, HostDraws([np.random.default_rng(0)]))
    assert float((dropped == 0).float().mean()) == pytest.approx(0.1, abs=0.01)
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.01)


def test_a_member_drops_the_same_entries_beside_a_longer_one() -> None:
    alone = Packing.of_lengths(torch.tensor([[4]]))
    beside = Packing.of_lengths(torch.tensor([[4], [9]]))
    rngs = [np.random.default_rng(seed) for seed in (3, 3, 4)]
    one = drop_out(torch.ones(1, 4, 5), alone, 0.5, HostDraws(rngs[:1]))
    two = drop_out(torch.ones(2, 9, 5), beside, 0.5, HostDraws(rngs[1:]))
    assert torch.equal(one[0], two[0, :4])
    assert rngs[0].random() == rngs[1].random()


def test_outputs_past_the_phones_are_cut_off() -> None:
    generator = Generator(GeneratorShape(input_dim=3, num_phones=9, hidden=4))
    segments = torch.randn(6, 3)
    cut = phones_only(generator, 5)
    torch.testing.assert_close(cut(segments), generator(segments)[:, :5])
    assert phones_only(generator, 9) is generator


def test_a_hidden_layer_cannot_start_from_a_map() -> None:
    generator = Generator(GeneratorShape(input_dim=3, num_phones=4, hidden=4))
    with pytest.raises(ValueError, match="hidden layer cannot start from a linear map"):
        generator.start_from_map(np.zeros((3, 4), dtype=np.float32))


def test_batch_norm_of_rows_that_the_host_has_not_counted_is_torchs() -> None:
    torch.manual_seed(0)
    shape = GeneratorShape(input_dim=3, num_phones=2, batch_norm_weight=30.0)
    packing = Packing.of_lengths(torch.tensor([[4, 3], [2, 1]]))
    rows = torch.randn(2, 7, 3).masked_fill(packing.is_filler_MN[..., None], 0.0)
    unread = packing.unread()
    for is_training in (True, False):
        known, blind = ([Generator(shape).train(is_training) for _ in range(2)] for _ in range(2))
        for one, other in zip(known, blind, strict=True):
            other.load_state_dict(one.state_dict())
        expected, found = (_normalise(g, rows, p) for g, p in ((known, packing), (blind, unread)))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        for one, other in zip(known, blind, strict=True):
            for a, b in zip(one.buffers(), other.buffers(), strict=True):
                torch.testing.assert_close(b, a)
