"""The pretended device refuses what a GPU refuses, and computes what a CPU computes."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import nn

from tests.pretend_device import DEVICE, MixedDevicesError, PretendTensor, pretend_device


def test_numbers_and_gradients_are_those_of_the_cpu() -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(3, 2), torch.randn(4, 3)
    expected = layer(x).square().sum()
    expected.backward()
    gradient = layer.weight.grad
    with pretend_device() as pretend:
        there = nn.Linear(3, 2)
        there.load_state_dict(layer.state_dict())
        there.to(DEVICE)
        loss = there(x.to(DEVICE)).square().sum()
        loss.backward()
        assert loss.device == DEVICE
        assert pretend.host_reads == Counter()
        assert torch.equal(loss.cpu(), expected)
        found = there.weight.grad
    assert isinstance(found, PretendTensor)
    assert gradient is not None
    torch.testing.assert_close(found.inner, gradient)


def test_two_devices_in_one_operation_are_an_error() -> None:
    with pretend_device():
        there = torch.ones(2, device=DEVICE)
        with pytest.raises(MixedDevicesError, match="mul"):
            there * torch.ones(2)
        assert (there * torch.tensor(2.0)).cpu().tolist() == [2.0, 2.0]  # a number may stay here


@pytest.mark.parametrize(
    "reads",
    [
        lambda x: float(x.sum()),
        lambda x: x.tolist(),
        lambda x: x.cpu(),
        lambda x: x.nonzero(),
        lambda x: x[x > 0],
        lambda x: bool((x > 0).all()),
    ],
)
def test_whatever_makes_the_host_wait_is_counted(reads) -> None:
    with pretend_device() as pretend:
        x = torch.ones(3, device=DEVICE)
        assert pretend.host_reads == Counter()
        reads(x)
        assert pretend.host_reads.total() == 1


def test_draws_for_the_device_need_its_own_generator() -> None:
    with pretend_device():
        x = torch.empty(3, device=DEVICE)
        x.uniform_(generator=torch.Generator(DEVICE).manual_seed(1))
        with pytest.raises(RuntimeError, match="generator is the host's"):
            x.uniform_(generator=torch.Generator().manual_seed(2))


def test_what_is_sent_is_counted_in_bytes() -> None:
    with pretend_device() as pretend:
        torch.ones(5).to(DEVICE)
        assert pretend.bytes_sent.total() == 20
