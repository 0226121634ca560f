"""What holds for every test: no network, few threads, the usual signals."""

from __future__ import annotations

import signal
import socket

import pytest
import torch

_LOCAL = ("127.0.0.1", "::1", "localhost")


# A shell's background and nohup ignore these, and whatever tests start would inherit it.
for _number, _usual in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--long`: everything of tests/crash and tests/fuzz, not the sample that the suite takes.

    `--browser`: tests/browser too, which need a chromium.
    """
    parser.addoption("--long", action="store_true", help="all of tests/crash and tests/fuzz")
    parser.addoption("--browser", action="store_true", help="tests/browser, in a chromium")


@pytest.fixture(scope="session")
def is_long(request: pytest.FixtureRequest) -> bool:
    """Whether all inputs are wanted, however long it takes."""
    return request.config.getoption("--long")


@pytest.fixture(autouse=True, scope="session")
def few_threads() -> None:
    """Tests are small; many threads on shared cores only make them slower."""
    torch.set_num_threads(min(2, torch.get_num_threads()))


@pytest.fixture(autouse=True)
def no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that leaves this machine is an error, except in tests marked `network`."""
    if request.node.get_closest_marker("network") is None:
        connect = socket.socket.connect

        def local_only(self: socket.socket, address: object) -> None:
            if self.family in (socket.AF_INET, socket.AF_INET6):
                host = address[0] if isinstance(address, tuple) else address
                assert host in _LOCAL, f"a test wants to connect to {address}; tests are offline"
            connect(self, address)  # type: ignore[arg-type]

        monkeypatch.setattr(socket.socket, "connect", local_only)
