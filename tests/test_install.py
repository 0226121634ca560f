"""What is installed: the lock of the image is of what pyproject asks for, and names no host."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LOCK = ROOT / "docker" / "requirements.lock"
LINUX = {"sys_platform": "linux", "extra": ""}


def locked() -> dict[str, str]:
    lines = [line for line in LOCK.read_text("utf-8").splitlines() if not line.startswith("#")]
    return dict(line.split("==") for line in lines)


def asked_for(extras: list[str]) -> list[Requirement]:
    texts = [*PROJECT["dependencies"]]
    for extra in extras:
        texts += PROJECT["optional-dependencies"][extra]
    found = [Requirement(text) for text in texts]
    return [r for r in found if r.marker is None or r.marker.evaluate(LINUX)]


def test_the_lock_has_what_pyproject_asks_for() -> None:
    extras = re.findall(r"--extra (\w+)", (ROOT / "docker" / "lock.sh").read_text("utf-8"))
    assert len(extras) >= 8
    versions = locked()
    for requirement in asked_for(extras):
        version = versions[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement


def test_the_lock_holds_the_pair_that_the_tests_run_with() -> None:
    versions, dev = locked(), PROJECT["optional-dependencies"]["dev"]
    for name in ("torch", "torchaudio"):
        (pin,) = [Requirement(text) for text in dev if Requirement(text).name == name]
        assert pin.specifier.contains(versions[name])


def test_the_lock_has_versions_alone() -> None:
    """No address of an index, no hash of a mirror's file, no path."""
    for line in LOCK.read_text("utf-8").splitlines()[1:]:
        assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*==[a-z0-9.]+", line), line


def test_the_image_copies_what_is_there() -> None:
    text = (ROOT / "docker" / "Dockerfile").read_text("utf-8")
    sources = [line.split()[1] for line in text.splitlines() if line.startswith("COPY docker")]
    assert sources == ["docker/requirements.lock"]
    assert all((ROOT / source).is_file() for source in sources)
