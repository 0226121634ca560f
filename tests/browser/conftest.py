"""Tests in a real browser: only where they are asked for, since a browser comes from no wheel."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Nothing here without `--browser`."""
    del collection_path
    return None if config.getoption("--browser") else True
