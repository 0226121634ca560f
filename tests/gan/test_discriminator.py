"""The composed discriminator against the plain one, autograd, and finite differences."""

import torch

from gan.discriminator import (
    Discriminator,
    DiscriminatorShape,
    compose,
    hidden_rows,
    hidden_rows_of_text,
    input_gradient_rows,
    scores,
    times_gelu_slope,
)
from gan.losses import gradient_penalty
from gan.packing import Packing

LENGTHS = torch.tensor([[5, 1, 14], [3, 12, 2]])
PHONES = 7


def example() -> tuple[list[Discriminator], torch.Tensor, Packing]:
    torch.manual_seed(0)
    shape = DiscriminatorShape(num_phones=PHONES, hidden=8, kernel=6)
    discriminators = [Discriminator(shape).double() for _ in range(2)]
    packing = Packing.of_lengths(LENGTHS)
    phones = torch.randn(*packing.sequence_MN.shape, PHONES, dtype=torch.float64)
    return discriminators, phones.masked_fill(packing.is_filler_MN[..., None], 0.0), packing


def each_sequence() -> list[tuple[int, int, int, int]]:
    """(member, sequence, first row, length)."""
    out = []
    for member, lengths in enumerate(LENGTHS.tolist()):
        for sequence, length in enumerate(lengths):
            out.append((member, sequence, sum(lengths[:sequence]), length))
    return out


def plain_score(discriminator: Discriminator, phones_TV: torch.Tensor) -> torch.Tensor:
    return discriminator(phones_TV[None], torch.tensor([len(phones_TV)]))[0]


def test_composed_scores_equal_the_plain_ones() -> None:
    discriminators, phones, packing = example()
    composed = compose(discriminators, dtype=torch.float64)
    found = scores(composed, hidden_rows(composed, phones, packing), packing)
    for member, sequence, first, length in each_sequence():
        expected = plain_score(discriminators[member], phones[member, first : first + length])
        torch.testing.assert_close(found[member, sequence].double(), expected, atol=1e-6, rtol=1e-6)


def test_input_gradient_equals_autograd_and_finite_differences() -> None:
    discriminators, phones, packing = example()
    composed = compose(discriminators, dtype=torch.float64)
    found = input_gradient_rows(composed, hidden_rows(composed, phones, packing), packing)
    for member, _, first, length in each_sequence():
        sequence = phones[member, first : first + length].clone().requires_grad_()
        (expected,) = torch.autograd.grad(plain_score(discriminators[member], sequence), sequence)
        torch.testing.assert_close(
            found[member, first : first + length].double(), expected, atol=1e-6, rtol=1e-5
        )
        step = torch.zeros_like(sequence)
        step[length // 2, 3] = 1e-5
        with torch.no_grad():
            above = plain_score(discriminators[member], sequence + step)
            below = plain_score(discriminators[member], sequence - step)
        difference = (above - below) / 2e-5
        torch.testing.assert_close(
            found[member, first + length // 2, 3].double(), difference, atol=1e-6, rtol=1e-5
        )


def test_weight_gradients_of_the_penalty_equal_double_backward() -> None:
    discriminators, phones, packing = example()
    composed = compose(discriminators, dtype=torch.float64)
    rows = input_gradient_rows(composed, hidden_rows(composed, phones, packing), packing)
    gradient_penalty(rows, packing).sum().backward()
    found = [
        {name: p.grad.clone() for name, p in d.named_parameters() if p.grad is not None}
        for d in discriminators
    ]
    for discriminator in discriminators:
        discriminator.zero_grad()
    for member, _, first, length in each_sequence():
        sequence = phones[member, first : first + length].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(
            plain_score(discriminators[member], sequence), sequence, create_graph=True
        )
        term = (gradient.norm(dim=0) - 1).square().sum() / LENGTHS.shape[1]
        term.backward()
    for member, discriminator in enumerate(discriminators):
        for name, parameter in discriminator.named_parameters():
            if parameter.grad is not None and name in found[member]:
                torch.testing.assert_close(
                    found[member][name], parameter.grad, atol=1e-5, rtol=1e-5
                )


def test_weight_gradients_of_the_penalty_equal_finite_differences() -> None:
    discriminators, phones, packing = example()

    def penalty() -> torch.Tensor:
        composed = compose(discriminators, dtype=torch.float64)
        rows = input_gradient_rows(composed, hidden_rows(composed, phones, packing), packing)
        return gradient_penalty(rows, packing).sum()

    penalty().backward()
    for parameter in (discriminators[0].embed.weight, discriminators[1].inner.weight):
        assert parameter.grad is not None
        slope = parameter.grad[2, 3, 1]
        with torch.no_grad():
            parameter[2, 3, 1] += 3e-3
            above = penalty()
            parameter[2, 3, 1] -= 6e-3
            below = penalty()
        torch.testing.assert_close(
            (above - below) / 6e-3, slope.to(above.dtype), atol=1e-4, rtol=1e-2
        )
        with torch.no_grad():
            parameter[2, 3, 1] += 3e-3


def test_padding_to_the_right_does_not_move_a_score() -> None:
    discriminators, phones, _ = example()
    short = plain_score(discriminators[0], phones[0, :5])
    padded = torch.cat([phones[0, :5], torch.randn(4, PHONES).double()])
    long = discriminators[0](padded[None], torch.tensor([5]))[0]
    torch.testing.assert_close(short, long)


def test_gelu_slope_and_its_own_slope_are_those_of_gelu() -> None:
    values = torch.linspace(-4, 4, 41, dtype=torch.float64, requires_grad=True)
    factors = torch.linspace(1, 3, 41, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad((factors * torch.nn.functional.gelu(values)).sum(), values)
    torch.testing.assert_close(times_gelu_slope(factors, values), expected)
    assert torch.autograd.gradcheck(times_gelu_slope, (factors, values))


def test_text_by_its_ids_equals_one_hot_rows_and_so_do_its_gradients() -> None:
    discriminators, _, packing = example()
    text = torch.randint(PHONES, packing.sequence_MN.shape)
    one_hot = torch.nn.functional.one_hot(text, PHONES).double()
    one_hot = one_hot.masked_fill(packing.is_filler_MN[..., None], 0.0)
    gradients, rows = [], []
    for of_text in (True, False):
        composed = compose(discriminators, dtype=torch.float64)
        hidden = (
            hidden_rows_of_text(composed, text, packing)
            if of_text
            else hidden_rows(composed, one_hot, packing)
        )
        rows.append(hidden[~packing.is_filler_MN])
        scores(composed, hidden, packing).square().sum().backward()
        parameters = [p for d in discriminators for p in d.parameters()]
        gradients.append([p.grad.clone() for p in parameters if p.grad is not None])
        for discriminator in discriminators:
            discriminator.zero_grad()
    torch.testing.assert_close(rows[0], rows[1])
    assert len(gradients[0]) == 12
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected)


def test_gradients_of_scores_equal_those_of_the_plain_discriminator() -> None:
    discriminators, phones, packing = example()
    composed = compose(discriminators, dtype=torch.float64)
    phones.requires_grad_()
    scores(composed, hidden_rows(composed, phones, packing), packing).square().sum().backward()
    parameters = [p for d in discriminators for p in d.parameters()]
    found = [p.grad.clone() for p in parameters if p.grad is not None]
    assert phones.grad is not None
    found.append(phones.grad.clone())
    for tensor in (*parameters, phones):
        tensor.grad = None
    for member, _, first, length in each_sequence():
        score = plain_score(discriminators[member], phones[member, first : first + length])
        score.square().backward()
    expected = [p.grad for p in (*parameters, phones)]
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)
