import torch

from gan.packing import Packing, common_prefixes, fold_windows, take_rows, windows

LENGTHS = torch.tensor([[3, 1, 5], [2, 6, 4]])


def packed_values(packing: Packing, channels: int) -> torch.Tensor:
    values = torch.randn(*packing.sequence_MN.shape, channels, dtype=torch.float64)
    return values.masked_fill(packing.is_filler_MN[..., None], 0.0)


def test_positions_and_lengths_describe_each_sequence() -> None:
    packing = Packing.of_lengths(LENGTHS)
    assert packing.sequence_MN[0].tolist() == [0, 0, 0, 1, 2, 2, 2, 2, 2, 3, 3, 3]
    assert packing.position_MN[0, :9].tolist() == [0, 1, 2, 0, 0, 1, 2, 3, 4]
    assert packing.rows_left_MN[0, :9].tolist() == [2, 1, 0, 0, 4, 3, 2, 1, 0]
    assert torch.equal(packing.lengths_MB, LENGTHS)


def test_windows_never_read_another_sequence() -> None:
    torch.manual_seed(0)
    packing = Packing.of_lengths(LENGTHS)
    values = packed_values(packing, 2)
    found = windows(values, packing, left=2, right=1).view(2, 12, 4, 2)
    for member, lengths in enumerate(LENGTHS.tolist()):
        start = 0
        for length in lengths:
            for position in range(length):
                for tap, offset in enumerate(range(-2, 2)):
                    inside = 0 <= position + offset < length
                    row = start + position
                    expected = values[member, row + offset] if inside else torch.zeros(2).double()
                    assert torch.equal(found[member, row, tap], expected)
            start += length


def test_fold_is_the_transpose_of_windows() -> None:
    torch.manual_seed(0)
    packing = Packing.of_lengths(LENGTHS)
    values = packed_values(packing, 2)
    others = packed_values(packing, 8)
    left = (windows(values, packing, left=2, right=1) * others).sum()
    right = (values * fold_windows(others, packing, left=2, right=1)).sum()
    torch.testing.assert_close(left, right)


def test_gradients_of_windows_and_fold_agree_with_finite_differences() -> None:
    torch.manual_seed(0)
    packing = Packing.of_lengths(LENGTHS)
    values = packed_values(packing, 2).requires_grad_()
    others = packed_values(packing, 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: windows(x, packing, left=1, right=1), values)
    assert torch.autograd.gradcheck(lambda x: fold_windows(x, packing, left=1, right=1), others)


def test_common_prefixes_pair_rows_of_the_same_sequence_and_position() -> None:
    first, second = Packing.of_lengths(LENGTHS), Packing.of_lengths(LENGTHS.flip(1))
    pairs, rows_first, rows_second = common_prefixes(first, second)
    assert pairs.lengths_MB.tolist() == [[3, 1, 3], [2, 6, 2]]
    real = ~pairs.is_filler_MN
    for packing, rows in ((first, rows_first), (second, rows_second)):
        for name in ("sequence_MN", "position_MN"):
            taken = getattr(packing, name).gather(1, rows)
            assert torch.equal(taken[real], getattr(pairs, name)[real])


def test_rows_are_taken_member_by_member() -> None:
    values = torch.arange(12.0).view(2, 6, 1)
    taken = take_rows(values, torch.tensor([[0, 5], [1, 1]]))
    assert taken[..., 0].tolist() == [[0.0, 5.0], [7.0, 7.0]]
