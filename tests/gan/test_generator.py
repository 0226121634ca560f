import numpy as np
import pytest
import torch

from gan.draws import HostDraws, rescale
from gan.generator import Generator, GeneratorShape, _normalise, generate, phones_only, zero_some
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
    ones, draws = torch.ones(1, 1000, 20), HostDraws([np.random.default_rng(0)])
    left = zero_some(ones, packing, 0.1, draws)
    assert float((left == 0).float().mean()) == pytest.approx(0.1, abs=0.01)
    assert rescale(0.1) * float(left.mean()) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("changes", [{}, {"batch_norm_weight": 30.0, "residual": True}])
def test_logits_keep_their_mean_over_draws_of_dropout(changes: dict) -> None:
    torch.manual_seed(0)
    generators = [Generator(GeneratorShape(input_dim=6, num_phones=5, **changes)).eval()]
    packing = Packing.of_lengths(torch.tensor([[4]]))
    features, draws = torch.randn(1, 4, 6), HostDraws([np.random.default_rng(0)])
    with torch.no_grad():
        whole = generate(generators, features, packing).logits_MNV
        drawn = [
            generate(generators, features, packing, dropout=0.3, draws=draws).logits_MNV
            for _ in range(4000)
        ]
    torch.testing.assert_close(
        torch.stack(drawn).mean(0), whole, atol=0.03 * float(whole.std()), rtol=0.0
    )


def test_a_member_drops_the_same_entries_beside_a_longer_one() -> None:
    alone = Packing.of_lengths(torch.tensor([[4]]))
    beside = Packing.of_lengths(torch.tensor([[4], [9]]))
    rngs = [np.random.default_rng(seed) for seed in (3, 3, 4)]
    one = zero_some(torch.ones(1, 4, 5), alone, 0.5, HostDraws(rngs[:1]))
    two = zero_some(torch.ones(2, 9, 5), beside, 0.5, HostDraws(rngs[1:]))
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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("is_training", [True, False])
def test_batch_norm_of_packed_rows_is_torchs(is_training: bool, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    packing = Packing.of_lengths(torch.tensor([[4, 3], [2, 1]]))
    rows = (5 + torch.randn(2, 7, 3)).masked_fill(packing.is_filler_MN[..., None], 0.0).to(dtype)
    plain, packed_too = (
        [torch.nn.BatchNorm1d(3).train(is_training) for _ in range(2)] for _ in range(2)
    )
    found = _normalise(packed_too, rows, packing.unread())
    for member, (norm, other) in enumerate(zip(plain, packed_too, strict=True)):
        count = packing.most_rows[member]
        expected = norm(rows[member, :count].float())
        tolerance = 1e-4 if dtype is torch.float32 else 1e-2
        torch.testing.assert_close(
            found[member, :count].float(), expected, rtol=tolerance, atol=tolerance
        )
        for a, b in zip(norm.buffers(), other.buffers(), strict=True):
            torch.testing.assert_close(b, a)
