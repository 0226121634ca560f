"""docs/add-an-upstream.md: its code is run, its recipes are read, its names exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import save_file

from tests.contracts.upstream import UpstreamContract
from unsup_asr.engine.config import check_component, instantiate
from unsup_asr.engine.overrides import Place
from unsup_asr.protocols import Upstream
from unsup_asr.upstreams.registry import names as upstream_names

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "add-an-upstream.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of an outside author, with what the page tells her to save."""
    module, test = blocks("python")
    (tmp_path / "my_upstream.py").write_text(module)
    (tmp_path / "test_my_upstream.py").write_text(test)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_example_passes_the_contract_suite_with_the_command_of_the_page(project: Path) -> None:
    (command,) = blocks("console")
    python, *arguments = command.split()
    assert python == "python"
    ran = subprocess.run(
        [sys.executable, *arguments, "-q", "-p", "no:cacheprovider"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout
    num_tests = sum(name.startswith("test_") for name in dir(UpstreamContract))
    assert re.search(rf"^{num_tests} passed", ran.stdout, re.MULTILINE), ran.stdout


def test_the_recipes_of_the_page_are_right(project: Path) -> None:
    nodes = [OmegaConf.create(block).features.upstream for block in blocks("yaml")]
    for node in nodes:
        check_component(node, Place("docs", "features.upstream"))
    save_file({"filters": torch.ones(4, 512)}, project / "filters.safetensors")
    mine = instantiate(next(node for node in nodes if "my_upstream" in node["_target_"]))
    assert isinstance(mine, Upstream)
    assert mine.encode(torch.zeros(1, 672), torch.tensor([672])).layers_BTD[0].shape == (1, 2, 4)


def test_the_names_of_the_page_are_those_there_are() -> None:
    table = TEXT.partition("## Names")[2].partition("\n\nAny other")[0]
    written = {name for row in table.splitlines()[4:] for name in _names(row)}
    installed = {name for name in upstream_names() if not name.startswith("torchaudio_")}
    assert {name for name in written if not name.startswith("torchaudio_")} == installed
    assert written <= set(upstream_names()) | {"torchaudio_"}


def _names(row: str) -> list[str]:
    return re.findall(r"`(\w+)`", row.split("|")[1])
