"""How many inputs: few in the suite, many with `--long`."""

from __future__ import annotations

import pytest

from tests.fuzz.edits import EDITS


@pytest.fixture
def num_edits(is_long: bool) -> int:
    """Edits of one file: each kind several times."""
    return len(EDITS) * (200 if is_long else 2)
