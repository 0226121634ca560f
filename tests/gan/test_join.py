"""JOIN against the obvious loop over utterances and runs."""

import itertools

import torch

from gan.join import join_random
from gan.packing import Packing

LENGTHS = torch.tensor([[7, 1, 9], [4, 12, 6]])


def example() -> tuple[torch.Tensor, Packing]:
    torch.manual_seed(1)
    packing = Packing.of_lengths(LENGTHS)
    logits = torch.randn(*packing.sequence_MN.shape, 3)
    return logits.masked_fill(packing.is_filler_MN[..., None], 0.0), packing


def slow_runs(logits: torch.Tensor, lengths: list[int]) -> list[list[tuple[int, int]]]:
    """(first row, length) of each run of each utterance of one member."""
    runs, start = [], 0
    for length in lengths:
        phones = logits[start : start + length].argmax(1).tolist()
        counts = [len(list(group)) for _, group in itertools.groupby(phones)]
        firsts = [start + sum(counts[:i]) for i in range(len(counts))]
        runs.append(list(zip(firsts, counts, strict=True)))
        start += length
    return runs


def test_random_join_keeps_one_row_of_each_run() -> None:
    logits, packing = example()
    uniform = torch.rand(packing.sequence_MN.shape)
    found, joined = join_random(logits, packing, uniform)
    for member in range(2):
        runs = slow_runs(logits[member], LENGTHS[member].tolist())
        assert joined.lengths_MB[member].tolist() == [len(r) for r in runs]
        expected = [
            logits[member, first + int(uniform[member, first] * count)]
            for utterance in runs
            for first, count in utterance
        ]
        assert torch.equal(found[member, : len(expected)], torch.stack(expected))
        assert bool((found[member, len(expected) :] == 0).all())


def test_every_row_of_a_run_is_drawn_equally_often() -> None:
    packing = Packing.of_lengths(torch.tensor([[3]]))
    logits = torch.tensor([[[5.0, 0.0], [6.0, 0.0], [7.0, 0.0]]])
    generator = torch.Generator().manual_seed(0)
    drawn = [
        float(join_random(logits, packing, torch.rand(1, 3, generator=generator))[0][0, 0, 0])
        for _ in range(600)
    ]
    for value in (5.0, 6.0, 7.0):
        assert 150 < drawn.count(value) < 250


def test_gradients_reach_only_the_drawn_rows() -> None:
    logits, packing = example()
    logits.requires_grad_()
    uniform = torch.zeros(packing.sequence_MN.shape)
    join_random(logits, packing, uniform)[0].sum().backward()
    assert logits.grad is not None
    reached = (logits.grad != 0).any(2)
    for member in range(2):
        firsts = [
            first
            for utterance in slow_runs(logits[member].detach(), LENGTHS[member].tolist())
            for first, _ in utterance
        ]
        assert reached[member].nonzero()[:, 0].tolist() == firsts
