"""What a stage has used of the machine, noted by whatever uses it; imports nothing heavy."""

from __future__ import annotations

_device = "cpu"


def forget() -> None:
    """Begin anew."""
    global _device
    _device = "cpu"


def note(device: str) -> None:
    """Something computes there."""
    global _device
    _device = device


def device() -> str:
    """`cpu`, or what was noted since `forget`."""
    return _device
